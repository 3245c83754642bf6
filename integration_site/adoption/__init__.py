"""Takes over what an earlier system stored in a database: inspects, applies, reverts, reports."""
