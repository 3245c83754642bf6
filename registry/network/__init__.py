"""Decides which addresses may be called, and dials them."""
