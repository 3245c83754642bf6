"""Charts of what models used: cost, tokens, times and errors (pure)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString

from core.admin.charts import StackedBar, draw_bars
from model_orchestration.admin.amounts import count_in_words, dollars_of_nanos
from model_orchestration.admin.usage import Amounts, UsageSpan, UsageSums

SPANS = {
    "day": UsageSpan("24 hours", 24, timedelta(hours=1)),
    "week": UsageSpan("7 days", 7, timedelta(days=1)),
    "month": UsageSpan("30 days", 30, timedelta(days=1)),
}
GROUPS = (
    ("model_id", "Model"), ("project_id", "Project"), ("provider", "Provider"), ("user_id", "User"),
    ("caller", "Caller"), ("request_type", "Type"),
)  # fmt: skip
SERIES = ("series-1", "series-2", "series-3", "series-4", "series-5")
REST_TONE = "neutral"
LATENCY_TONES = ("good", "series-2", "series-3", "warning", "bad")
LATENCY_WORDS = ("under 0.3 s", "under 1 s", "under 3 s", "under 10 s", "longer")
MOST_ROWS = 10
NOBODY = "(none)"

Show = Callable[[float], str]


@dataclass(frozen=True)
class Chart:
    """A chart with its heading, the most of a bar, and what each colour is."""

    name: str
    title: str
    picture: SafeString
    most: str
    legend: list[tuple[str, str, str]]
    total: str


def page_of_usage(usage: UsageSums, *, span: str, group: str) -> dict[str, Any]:
    """Return what the template of the page shows."""
    groups = usage.groups()
    total = Amounts()
    for amounts in groups.values():
        total.add(amounts)
    named = dict(GROUPS)[group].lower()
    return {
        "spans": [(name, each.words, name == span) for name, each in SPANS.items()],
        "groups": [(name, word, name == group) for name, word in GROUPS],
        "span": span,
        "by": group,
        "group_word": named,
        "charts": charts_of(usage, list(groups), named) if total.requests else [],
        "marks": _marks(usage.starts, SPANS[span]),
        "columns": len(usage.starts),
        "total": _row("", total),
        "rows": [_row(name, amounts) for name, amounts in list(groups.items())[:MOST_ROWS]],
        "more": max(len(groups) - MOST_ROWS, 0),
        "is_capped": usage.is_capped,
    }


def charts_of(usage: UsageSums, groups: Sequence[str], named: str) -> list[Chart]:
    """Return the four charts: cost, tokens, how long answers took, errors."""
    count = count_in_words
    return [
        _by_group("cost", f"Cost by {named}", usage, groups, lambda a: a.nanousd, _money),
        _by_group("tokens", f"Tokens by {named}", usage, groups, lambda a: a.tokens, count),
        _latencies(usage, groups),
        _errors(usage),
    ]


def _money(nanos: float) -> str:
    return dollars_of_nanos(int(nanos))


def _by_group(
    name: str, title: str, usage: UsageSums, groups: Sequence[str],
    amount: Callable[[Amounts], float], show: Show,
) -> Chart:  # fmt: skip
    shown, rest = groups[: len(SERIES)], groups[len(SERIES) :]
    series = [(each or NOBODY, tone, [each]) for each, tone in zip(shown, SERIES, strict=False)]
    if rest:
        series.append((f"{len(rest)} others", REST_TONE, [*rest]))

    def value(start: datetime, members: Sequence[str]) -> float:
        present = (usage.by_part.get((start, member)) for member in members)
        return sum(amount(each) for each in present if each is not None)

    columns = [(word, tone, [value(s, members) for s in usage.starts])
               for word, tone, members in series]  # fmt: skip
    return _chart(name, title, usage.starts, columns, show)


def _latencies(usage: UsageSums, groups: Sequence[str]) -> Chart:
    parts = [usage.by_part.get((start, group)) for start in usage.starts for group in groups]
    by_start = [parts[i : i + len(groups)] for i in range(0, len(parts), max(len(groups), 1))]
    columns = [
        (word, tone, [float(sum(a.latencies[index] for a in each if a)) for each in by_start])
        for index, (word, tone) in enumerate(zip(LATENCY_WORDS, LATENCY_TONES, strict=True))
    ]
    return _chart("times", "How long answers took", usage.starts, columns, count_in_words)


def _errors(usage: UsageSums) -> Chart:
    totals: dict[str, int] = {}
    for (_, code), count in usage.errors.items():
        totals[code] = totals.get(code, 0) + count

    def counts_of(some: Sequence[str]) -> list[float]:
        return [float(sum(usage.errors.get((s, c), 0) for c in some)) for s in usage.starts]

    codes = sorted(totals, key=lambda code: (-totals[code], code))
    columns = [
        (code.replace("_", " "), tone, counts_of([code]))
        for code, tone in zip(codes, SERIES, strict=False)
    ]
    if rest := codes[len(SERIES) :]:
        columns.append((f"{len(rest)} others", REST_TONE, counts_of(rest)))
    return _chart("errors", "What failed or was refused", usage.starts, columns, count_in_words)


def _chart(
    name: str, title: str, starts: Sequence[datetime],
    columns: Sequence[tuple[str, str, list[float]]], show: Show,
) -> Chart:  # fmt: skip
    bars = []
    for index, start in enumerate(starts):
        parts = [(word, values[index]) for word, _, values in columns]
        told = ", ".join(f"{word} {show(amount)}" for word, amount in parts if amount)
        bars.append(
            StackedBar(f"{_when(start, starts)}: {told or 'nothing'}", tuple(a for _, a in parts))
        )
    most = max((bar.total for bar in bars), default=0)
    tones = [tone for _, tone, _ in columns]
    words = f"{title}, at most {show(most)} in {_unit(starts)}"
    legend = [(word, tone, show(sum(values))) for word, tone, values in columns]
    total = show(sum(bar.total for bar in bars))
    return Chart(name, title, draw_bars(bars, tones, words=words), show(most), legend, total)


def _unit(starts: Sequence[datetime]) -> str:
    return "an hour" if starts[1] - starts[0] < timedelta(days=1) else "a day"


def _when(start: datetime, starts: Sequence[datetime]) -> str:
    return f"{start:%H:%M} UTC" if _unit(starts) == "an hour" else f"{start:%-d %b}"


def _marks(starts: Sequence[datetime], span: UsageSpan) -> list[tuple[int, str]]:
    """Return the words below some of the bars, by their column."""
    every = max(span.parts // 8, 1)
    return [(i + 1, _when(s, starts).removesuffix(" UTC")) for i, s in enumerate(starts)
            if i % every == 0]  # fmt: skip


def _row(name: str, amounts: Amounts) -> dict[str, Any]:
    return {
        "name": name or NOBODY,
        "cost": dollars_of_nanos(amounts.nanousd),
        "tokens": count_in_words(amounts.tokens),
        "input": count_in_words(amounts.input_tokens),
        "output": count_in_words(amounts.output_tokens),
        "requests": count_in_words(amounts.requests),
        "errors": amounts.errors,
        "refused": amounts.refused,
    }
