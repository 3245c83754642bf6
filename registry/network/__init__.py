"""Which addresses may be called, and how they are reached."""
