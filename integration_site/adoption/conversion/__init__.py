"""Makes rows of the hub's of rows of the earlier system (pure)."""
