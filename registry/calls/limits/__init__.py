"""Limits: how often and how many at once a service or a connection is called, by all workers."""
