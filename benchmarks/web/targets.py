"""What each part is to reach, and the table that says whether it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import median
from typing import Any

# Of one part: by figure, its value in each round.
Values = Mapping[str, Sequence[float]]
FAILED = "failed"


@dataclass(frozen=True)
class Target:
    """A bound of a figure's median, or of the median ratio to `beside`, another of its round."""

    figure: str
    least: float | None = None
    most: float | None = None
    beside: str = ""

    def __str__(self) -> str:
        bound = f"at least {self.least:,g}" if self.least is not None else f"at most {self.most:,g}"
        return f"{bound} x {self.beside}" if self.beside else bound

    def admits(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )


NO_FAILURE = Target(FAILED, most=0)
RANGE, GET = "etcd, a range of as many bytes, a second", "etcd, one key, a second"
PAGE, BY_TYPE = "a page of 20", "an instance by type"
BY_NAME, BY_ANY_NAME = "a service by name", "1,000 services by name in turn"
HEARTBEATS, UPDATES, SETEX = "heartbeats", "bare UPDATE and COMMIT, a second", "SETEX, a second"
ACCEPTED = "POST until accepted, p50 ms"
POST_TO_END, CHAIN = "POST until end, p50 ms", "Celery over POST, p50 ms"
BARE_CHAIN = "Celery without POST, p50 ms"
POSTED, BACKLOG = "steps a second, over POST", "steps a second, of a backlog"
ALIVE = "/health/alive"


def rate(subject: str) -> str:
    return f"{subject}, a second"


def p99(subject: str) -> str:
    return f"{subject}, p99 ms"


TARGETS: Mapping[str, Sequence[Target]] = {
    "reads": (
        Target(rate(PAGE), least=1.0, beside=RANGE),
        Target(p99(PAGE), most=20),
        Target(rate(BY_TYPE), least=0.5, beside=GET),
        Target(rate(BY_NAME), least=0.5, beside=GET),
        Target(rate(BY_ANY_NAME), least=0.5, beside=GET),
    ),
    "reads-under-writes": (
        Target(rate("changes"), least=95),
        Target(rate(PAGE), least=0.5, beside=RANGE),
        Target(rate(BY_TYPE), least=0.25, beside=GET),
        Target(rate(BY_NAME), least=0.25, beside=GET),
        Target(rate(BY_ANY_NAME), least=0.25, beside=GET),
    ),
    "heartbeats": (
        Target(rate(HEARTBEATS), least=3_000),
        Target(rate(HEARTBEATS), least=1.0, beside=UPDATES),
        Target(p99(HEARTBEATS), most=50),
    ),
    "heartbeats-redis": (Target(rate(HEARTBEATS), least=1.0, beside=SETEX),),
    "starts": (
        Target(POSTED, least=0.5, beside=BACKLOG),
        Target(POST_TO_END, most=1.0, beside=CHAIN),
        Target(ACCEPTED, most=5),
    ),
    "registrations": (Target(rate("new services"), least=300),),
    "choose": (Target(rate("of 3,000 candidates"), least=0.8, beside=rate("of 3 candidates")),),
    "growth": tuple(
        Target(rate(f"{subject}, {size}"), least=0.8, beside=rate(f"{subject}, {before}"))
        for size, before in (
            ("1,000 services", "100 services"),
            ("10,000 services", "100 services"),
            ("1,000 services and many executions", "1,000 services"),
        )
        for subject in (PAGE, BY_TYPE, BY_NAME, HEARTBEATS)
    ),
    "waiters": (
        Target("MB of the web process", most=200),
        Target(p99(HEARTBEATS), most=50),
        Target("waiting reads, ms from the end to the last answer", most=200),
        Target("watches, ms from the change to the last answer", most=200),
        Target("waits that did not wait", most=0),
    ),
    "slow-peers": tuple(
        Target(p99(f"{subject}, {where}"), most=100)
        for where in ("PostgreSQL", "embedded")
        for subject in (ALIVE, "a heartbeat")
    ),
    "idle": (Target("% of a core", most=5), Target("MB of all processes", most=400)),
    "kill-web": (
        Target("calls that gave up", most=0),
        Target("starts lost", most=0),
        Target("starts done twice", most=0),
        Target("web processes killed", least=1),
        Target("web processes missing at the end", most=0),
    ),
    "restart-redis": (
        Target("reads that failed", most=0),
        Target("writes that failed", most=0),
        Target("waits that failed", most=0),
        Target("waits that ended late", most=0),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """One line of the table. `reached` is None where nothing is aimed at."""

    part: str
    figure: str
    value: float
    target: str = ""
    ratio: float | None = None
    reached: bool | None = None

    def cells(self) -> list[str]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} x"
        reached = {True: "yes", False: "**no**", None: ""}[self.reached]
        return [self.figure, _text(self.value), self.target, ratio, reached]

    def as_json(self) -> dict[str, Any]:
        """Return it as a member of a list; JSON knows no infinity."""
        return {**vars(self), "value": self.value if isfinite(self.value) else None}


def judge(
    part: str, values: Values, aims: Mapping[str, Sequence[Target]] | None = None
) -> Iterator[Outcome]:
    """Yield a line for each figure and each of its targets, in the order of measuring.

    Loads of which nothing failed say nothing of failures; one failure in any round counts. A target
    whose figure was not measured is missed.
    """
    wanted = (TARGETS if aims is None else aims)[part]
    for figure, measured in values.items():
        targets = [target for target in wanted if target.figure == figure]
        if figure.endswith(f", {FAILED}"):
            if any(measured):
                yield Outcome(part, figure, max(measured), str(NO_FAILURE), None, reached=False)
        elif not targets:
            yield Outcome(part, figure, median(measured))
        for target in targets:
            yield _held_against(target, part, values)
    for target in wanted:
        if target.figure not in values:
            yield Outcome(part, target.figure, nan, str(target), None, reached=False)


def _held_against(target: Target, part: str, values: Values) -> Outcome:
    value = median(values[target.figure])
    ratio = None
    if target.beside:
        pairs = zip(values[target.figure], values[target.beside], strict=True)
        ratio = median(own / other if other else 0.0 for own, other in pairs)
    reached = target.admits(value if ratio is None else ratio)
    return Outcome(part, target.figure, value, str(target), ratio, reached)


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or not value else f"{value:.3g}"
