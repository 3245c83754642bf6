"""What each part of `./dev bench models` is to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.web.targets import Target, rate

RATE, CALLERS = 100, 32
HUB, PEER = "the hub", "LiteLLM"
FIRST_PIECE, PEER_FIRST_PIECE = "a piece passed on, p50 ms", "LiteLLM, a piece passed on, p50 ms"
STREAMS_MEGABYTES = "MB of the web processes"
BROKEN_STREAMS = "streams that were not whole"
LOST, WRONG, OPEN = "answers without a row", "rows with another cost", "rows still open"
SUM_OFF = "nanodollars between the rows and the budget"
RESERVED = "nanodollars still reserved"


def added(subject: str, percent: int) -> str:
    return f"added by {subject} at {RATE}/s, p{percent} ms"


def asked_by_many(subject: str) -> str:
    return rate(f"{subject}, {CALLERS} callers")


TARGETS: Mapping[str, Sequence[Target]] = {
    "latency": (
        Target(added(HUB, 50), most=2),
        Target(added(HUB, 99), most=10),
        Target(FIRST_PIECE, most=1),
    ),
    "throughput": (Target(asked_by_many(HUB), least=5, beside=asked_by_many(PEER)),),
    "streams": (Target(STREAMS_MEGABYTES, most=300), Target(BROKEN_STREAMS, most=0)),
    "kills": tuple(Target(name, most=0) for name in (LOST, WRONG, OPEN, SUM_OFF, RESERVED)),
}
