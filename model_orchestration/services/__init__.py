"""What people and programs do to models, routes, budgets and prices."""
