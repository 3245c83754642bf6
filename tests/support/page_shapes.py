"""What a page is made of, but for its words: pages that are made alike look alike."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# They have no end of their own.
VOID = (
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr", "circle", "line", "path", "polygon", "polyline", "rect", "stop", "use",
)  # fmt: skip
# Their values tell what an element is; of other attributes it tells enough that they are there.
TELLING = ("type", "role", "data-tone", "data-kind", "aria-current")
# What Django names after models and fields.
NAMES = re.compile(r"(app|model|field|column)-")
# Of what a browser shows nothing, or no more than of the one before.
LEFT_OUT = frozenset(("option", "script", "style", "meta", "link", "title"))


def shapes_of(page: str) -> set[int]:
    """Return a number for each way down to an element, by tags, classes and attributes."""
    return Shapes(page).found


class Shapes(HTMLParser):
    """Collects the shapes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[int] = set()
        self._within = [("", 0)]
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        classes = [c for c in (given.get("class") or "").split() if not NAMES.match(c)]
        own = (tag, *sorted(classes), *sorted(given), *(given.get(name) for name in TELLING))
        shape = hash((self._within[-1][1], own))
        if tag not in LEFT_OUT:
            self.found.add(shape)
        if tag not in VOID:
            self._within.append((tag, shape))

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self._within) - 1, 0, -1):
            if self._within[place][0] == tag:
                del self._within[place:]
                return
