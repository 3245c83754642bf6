"""Looks at addresses: asks them once, within a time, and says what came or why nothing did."""

from registry.calls.probes.http import HttpRequest, ask
from registry.calls.probes.reading import ProbeFailed, Reading
from registry.calls.probes.sockets import connect, read_certificate, resolve_name

__all__ = [
    "HttpRequest",
    "ProbeFailed",
    "Reading",
    "ask",
    "connect",
    "read_certificate",
    "resolve_name",
]
