"""What a look at an address brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Reading:
    """What an address answered; what a kind of look does not know is empty."""

    latency_ms: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    # What a name leads to.
    answers: list[str] = field(default_factory=list)
    certificate_ends_at: datetime | None = None


class ProbeFailed(Exception):
    """No answer came. `kind` is DNS, CONNECT, TLS, TIMEOUT, POLICY or INTERNAL."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
