"""Connections: their types, their addresses, their tests and their lifecycle."""
