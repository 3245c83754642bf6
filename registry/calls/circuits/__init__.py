"""Circuits: whether an instance may be called, decided by how its last calls went."""
