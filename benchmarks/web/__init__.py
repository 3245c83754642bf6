"""What callers of the hub meet, measured from outside over HTTP: `./dev bench web`."""
