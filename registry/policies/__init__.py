"""The policies that rows carry in JSON columns, parsed and checked (pure)."""
