"""The endpoints of model orchestration."""
