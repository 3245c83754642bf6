"""Windows of maintenance: `rules` (what one can be), `planning` (its times), `lifecycle`."""
