"""Credentials: their types, their secrets, their lifecycle and their audit trail."""
