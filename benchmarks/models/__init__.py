"""What the door to models costs, over HTTP from outside: `./dev bench models`."""
