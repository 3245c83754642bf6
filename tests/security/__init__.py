"""Everything that nobody may get from a running hub, tried over HTTP: `./dev security`."""
