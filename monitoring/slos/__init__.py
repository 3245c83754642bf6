"""Objectives: made and changed, counted, and judged by how fast their budgets burn."""
