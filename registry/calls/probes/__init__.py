"""Looks at addresses: asks them once, within a time, and says what came or why nothing did."""

from registry.calls.probes.http import HttpRequest, ask
from registry.calls.probes.reading import ProbeFailed, Reading

__all__ = ["HttpRequest", "ProbeFailed", "Reading", "ask"]
