"""Tells other processes of ready steps and of ends: hints, of which a lost one costs a look."""
