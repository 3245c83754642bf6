"""What requests used over a time, by day or hour and by whoever: read in two queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, Q, QuerySet, SmallIntegerField, Sum, When

from model_orchestration.models import Request, RequestState
from model_orchestration.models.fields import usd_of

# The charts read no further back than so many requests, which takes half a second.
MOST_READ = 100_000
# Up to how many milliseconds: a histogram tells what an average hides, and any database counts it.
LATENCY_STEPS = (300, 1000, 3000, 10_000)


@dataclass(frozen=True)
class UsageSpan:
    """A stretch of time up to now, in equal parts."""

    words: str
    parts: int
    step: timedelta

    def starts(self, now: datetime) -> list[datetime]:
        """Return when each part begins, the current one last, on whole hours or UTC days."""
        last = now.replace(minute=0, second=0, microsecond=0)
        if self.step >= timedelta(days=1):
            last = last.replace(hour=0)
        return [last - back * self.step for back in range(self.parts - 1, -1, -1)]


@dataclass
class Amounts:
    """What requests used together; money in billionths of a US dollar."""

    requests: int = 0
    errors: int = 0
    refused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nanousd: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_STEPS) + 1))

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def add(self, other: Amounts) -> None:
        self.requests += other.requests
        self.errors += other.errors
        self.refused += other.refused
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.nanousd += other.nanousd
        pairs = zip(self.latencies, other.latencies, strict=True)
        self.latencies = [mine + theirs for mine, theirs in pairs]


@dataclass(frozen=True)
class UsageSums:
    """Amounts by part of the span and by group, and errors by part and code."""

    starts: Sequence[datetime]
    by_part: dict[tuple[datetime, str], Amounts]
    errors: dict[tuple[datetime, str], int]
    is_capped: bool

    def groups(self) -> dict[str, Amounts]:
        """Return the amounts of each group, the dearest first, then those with most tokens."""
        totals: dict[str, Amounts] = defaultdict(Amounts)
        for (_, group), amounts in self.by_part.items():
            totals[group].add(amounts)
        ordered = sorted(totals.items(), key=lambda it: (-it[1].nanousd, -it[1].tokens, it[0]))
        return dict(ordered)

    def table(self) -> Iterator[list[Any]]:
        """Yield the rows of an export, the head first."""
        yield [
            "begin", "group", "requests", "errors", "refused", "input_tokens", "output_tokens",
            "cost_usd",
        ]  # fmt: skip
        for (start, group), each in sorted(self.by_part.items()):
            yield [
                start, group, each.requests, each.errors, each.refused, each.input_tokens,
                each.output_tokens, f"{usd_of(each.nanousd):f}",
            ]  # fmt: skip


def read_usage(span: UsageSpan, *, group: str, now: datetime) -> UsageSums:
    """Return what was used in a span, by a column of requests."""
    starts = span.starts(now)
    rows, is_capped = _rows_since(starts[0])
    # Compared with the starts and not cut down to the day: SQLite does that row by row in Python.
    since = [When(created_at__gte=start, then=back) for back, start in enumerate(reversed(starts))]
    parted = rows.order_by().annotate(back=Case(*since, output_field=SmallIntegerField()))
    amounts = {
        (starts[-1 - row["back"]], str(row[group] or "")): _amounts_of(row)
        for row in parted.values("back", group).annotate(**_AGGREGATES)
    }
    failed = parted.filter(success=False).exclude(error_code="")
    errors = {
        (starts[-1 - back], code): count
        for back, code, count in failed.values_list("back", "error_code").annotate(Count("pk"))
    }
    return UsageSums(starts, amounts, errors, is_capped)


def _rows_since(start: datetime) -> tuple[QuerySet[Request], bool]:
    """Return the requests since a time, and whether they are too many to read all."""
    rows = Request.objects.filter(created_at__gte=start)
    oldest = Request.objects.order_by("-id").values_list("id", "created_at")
    edge = oldest[MOST_READ : MOST_READ + 1].first()
    if edge is None:
        return rows, False
    # Also where all of the span is read: times have no index, ids have one.
    return rows.filter(id__gt=edge[0]), edge[1] >= start


def _latency_counts() -> dict[str, Count]:
    counts, low = {}, 0.0
    for index, high in enumerate((*LATENCY_STEPS, None)):
        within = Q(latency_ms__gte=low)
        if high is not None:
            within &= Q(latency_ms__lt=high)
            low = high
        counts[f"latency_{index}"] = Count("pk", filter=within & Q(success=True))
    return counts


_AGGREGATES: dict[str, Any] = {
    "requests": Count("pk"),
    "refused": Count("pk", filter=Q(state=RequestState.REFUSED)),
    "errors": Count("pk", filter=Q(state__in=(RequestState.FAILED, RequestState.CUT))),
    "inputs": Sum("prompt_tokens", default=0),
    "outputs": Sum("completion_tokens", default=0),
    "nanousd": Sum("cost_nanousd", default=0),
    **_latency_counts(),
}


def _amounts_of(row: dict[str, Any]) -> Amounts:
    latencies = [row[f"latency_{index}"] for index in range(len(LATENCY_STEPS) + 1)]
    return Amounts(
        row["requests"], row["errors"], row["refused"], row["inputs"], row["outputs"],
        row["nanousd"], latencies,
    )  # fmt: skip
