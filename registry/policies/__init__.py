"""How rows say they are to be treated: JSON columns, parsed and checked (pure)."""
