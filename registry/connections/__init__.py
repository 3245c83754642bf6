"""What connections are made of, and what is done with them."""
