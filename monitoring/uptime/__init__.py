"""What is remembered of how services were, and how much of the time they could be used."""
