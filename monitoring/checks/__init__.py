"""Checks: services and addresses are looked at, and believed after several looks in a row."""
