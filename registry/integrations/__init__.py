"""Integrations: what is called between services, and how requests and answers are mapped."""
