"""Inbound webhooks: their signatures, and what their messages are mapped to (pure)."""
