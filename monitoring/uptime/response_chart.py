"""The chart of how fast something answered, with what happened meanwhile, drawn on the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin.formatting import milliseconds
from monitoring.uptime.happenings import Happening, HappeningKind
from monitoring.uptime.response_times import ResponsePoint, ResponseTimes

WIDTH, HEIGHT = 600, 160
TONES = {
    HappeningKind.DEPLOYMENT: "series-3",
    HappeningKind.MAINTENANCE: "info",
    HappeningKind.INCIDENT: "bad",
    HappeningKind.BREAKER: "warning",
}
LINES: Sequence[tuple[str, str, Callable[[ResponsePoint], float | None]]] = (
    ("p99", "series-5", lambda point: point.p99_ms),
    ("p95", "series-4", lambda point: point.p95_ms),
    ("p50", "series-1", lambda point: point.p50_ms),
)


def chart_of(times: ResponseTimes, happenings: Sequence[Happening]) -> dict[str, Any]:
    """Return what the chart's template shows."""
    known = times.known
    most = max((each.p99_ms or 0 for each in known), default=0) or 1
    form = "%H:%M" if times.window in ("1h", "24h") else "%d %b"
    middle = times.since + (times.until - times.since) / 2
    return {
        "picture": _draw(times, happenings, most) if known or happenings else "",
        "most": milliseconds(most) if known else "",
        "ends": [f"{at:{form}}" for at in (times.since, middle, times.until)],
        "lines": [(name, tone) for name, tone, _ in reversed(LINES)],
        "rows": [
            (each, *(milliseconds(read(each) or 0) for _, _, read in reversed(LINES)))
            for each in reversed(known)
        ],
        "happenings": [(TONES[HappeningKind(each.kind)], each) for each in reversed(happenings)],
    }


def _draw(times: ResponseTimes, happenings: Iterable[Happening], most: float) -> SafeString:
    count = sum(each.count for each in times.points)
    words = (
        f"Response times of the last {times.window}: {count:,} answers, the slowest percentile"
        f" {milliseconds(most)}"
    )
    return format_html(
        '<svg class="hub-times" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}{}</svg>',
        WIDTH,
        HEIGHT,
        words,
        format_html_join("", "{}", ((_mark(times, each),) for each in happenings)),
        format_html_join("", "{}", _lines(times, most)),
    )


def _lines(times: ResponseTimes, most: float) -> Iterator[tuple[SafeString]]:
    for name, tone, read in LINES:
        for stretch in _stretches(times, read, most):
            yield (
                format_html(
                    '<polyline class="hub-line" data-tone="{}" points="{}"><title>{}</title>'
                    "</polyline>",
                    tone,
                    " ".join(f"{x:.1f},{y:.1f}" for x, y in stretch),
                    name,
                ),
            )


def _stretches(
    times: ResponseTimes, read: Callable[[ResponsePoint], float | None], most: float
) -> Iterator[list[tuple[float, float]]]:
    """Return the points of a line, cut where no answers came; one alone is a short line."""
    half = WIDTH * (times.step / (times.until - times.since)) / 2
    stretch: list[tuple[float, float]] = []
    for point in (*times.points, None):
        value = read(point) if point else None
        if point is None or value is None:
            if len(stretch) == 1:
                (x, y) = stretch[0]
                stretch = [(x - half, y), (x + half, y)]
            if stretch:
                yield stretch
            stretch = []
            continue
        y = HEIGHT - value / most * (HEIGHT - 8) - 2
        stretch.append((_x(times, point.at) + half, y))


def _mark(times: ResponseTimes, happening: Happening) -> SafeString:
    is_moment = happening.kind == HappeningKind.DEPLOYMENT
    start = max(_x(times, happening.at), 0.0)
    end = start if is_moment else min(_x(times, happening.ended_at or times.until), WIDTH)
    return format_html(
        '<rect class="hub-happening" data-tone="{}" data-kind="{}" x="{}" y="0" width="{}"'
        ' height="{}"><title>{}: {}</title></rect>',
        TONES[HappeningKind(happening.kind)],
        happening.kind,
        f"{min(start, WIDTH - 2):.1f}",
        f"{max(end - start, 2):.1f}",
        HEIGHT,
        happening.word,
        happening.title,
    )


def _x(times: ResponseTimes, at: Any) -> float:
    return float((at - times.since) / (times.until - times.since) * WIDTH)
