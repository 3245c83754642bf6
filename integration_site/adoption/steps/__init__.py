"""The steps that take rows over, each in transactions of its own."""
