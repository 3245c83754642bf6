"""How many requests a minute an API key may send, over all web processes."""
