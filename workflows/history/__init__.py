"""The history of executions: its events, and the triggers that let nobody change them."""

from workflows.history.append_only import guard_history, unguard_history

__all__ = ["guard_history", "unguard_history"]
