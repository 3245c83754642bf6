"""The tables of docs/authority.md: who may what, as requests and what has to come of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.roles import scopes_of_role

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "authority.md"
_CODE = re.compile(r"`([^`]+)`")
# The first columns of the tables.
TITLES = ("effect", "change", "later", "identity", "request", "a page that is")
_NAME = re.compile(r"(core|registry|workflows|monitoring|integration_site)(\.\w+)+")


@dataclass(frozen=True)
class Effect:
    """One request of the API: with one of `takes`, and with `of_others` where it is not own."""

    name: str
    method: str
    path: str
    takes: frozenset[str]
    of_others: frozenset[str]
    decided_in: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def owned(self) -> str:
        """What the request is about, where it matters whose that is: service, execution or bulk."""
        found = re.search(r"\{(service|execution|bulk)\}", self.path)
        return found[1] if found and self.of_others else ""

    def filled(self, names: dict[str, str]) -> str:
        """Return the path with these names in its places."""
        return re.sub(r"\{(\w+)\}", lambda place: names[place[1]], self.path)


@dataclass(frozen=True)
class Expected:
    """What has to come of a request: 401, 403, or neither."""

    status: int  # 0 for neither

    def fits(self, status: int) -> bool:
        """Return whether an answer is as it has to be; below 500 in any case."""
        if self.status:
            return status == self.status
        return status not in (401, 403) and (status < 500 or status in (502, 503, 504))


def expected(effect: Effect, scopes: frozenset[str] | None, *, own: bool = True) -> Expected:
    """Return what the table says of who has these scopes; None for who is nobody."""
    if scopes is None:
        return Expected(401)
    if not effect.takes & scopes:
        return Expected(403)
    if not own and effect.of_others and not effect.of_others & scopes:
        return Expected(403)
    return Expected(0)


@cache
def effects() -> tuple[Effect, ...]:
    """Return every request that the table lists."""
    return tuple(_effects())


def _effects() -> Iterator[Effect]:
    for name, requests, takes, of_others, decided_in in rows("effect", 5):
        for request in _CODE.findall(requests):
            method, path = request.split()
            yield Effect(
                name,
                method,
                path,
                frozenset(_CODE.findall(takes)),
                frozenset(_CODE.findall(of_others)),
                tuple(_CODE.findall(decided_in)),
            )


def page_requests() -> list[str]:
    """Return the requests of status pages, which say themselves who sees them."""
    return [each for requests, _, _ in rows("request", 3) for each in _CODE.findall(requests)]


def page_answers() -> Iterator[tuple[str, str, int]]:
    """Yield by visibility of a page, and by who asks, what is answered."""
    for visibility, *answers, _ in rows("a page that is", 5):
        for who, answer in zip(("nobody", "without", "with"), answers, strict=True):
            yield visibility.strip("`"), who, 200 if answer == "sees it" else int(answer)


def who_of_pages(scopes: frozenset[str] | None) -> str:
    """Return which column of status pages is for who has these scopes; None for nobody."""
    if scopes is None:
        return "nobody"
    return "with" if "registry:read" in scopes else "without"


def page_paths(page: str) -> list[str]:
    """Return the addresses of everything that is shown of one status page."""
    places = {"page": page, "component": "page", "file": "status.svg"}
    paths = [each.split()[1] for each in page_requests() if "{page}" in each]
    return [re.sub(r"\{(\w+)\}", lambda place: places[place[1]], path) for path in paths]


@dataclass(frozen=True)
class Change:
    """A later change of who asks: whom it befalls, about what, and what is left of their scopes."""

    title: str
    befalls: str  # keys, keys without scopes, persons, persons with groups or everybody
    about: str  # everything or a service
    left: str

    def expected(self, effect: Effect, scopes: frozenset[str] | None) -> Expected:
        """Return what has to come of a request about what is one's own, after the change."""
        if self.about != "everything":
            before = expected(effect, scopes)
            if before.status or not is_about_service(effect):
                return before
            return Expected(403) if self.left == "nothing" else expected(effect, scopes, own=False)
        return expected(effect, self._left_of(scopes))

    def _left_of(self, scopes: frozenset[str] | None) -> frozenset[str] | None:
        if scopes is None or self.left == "nothing":
            return None
        role = re.fullmatch(r"what (\w+) may", self.left)
        return scopes_of_role(role[1]) if role else frozenset(_CODE.findall(self.left))


def is_about_service(effect: Effect) -> bool:
    """Return whether a request is what the owner of a service may do to it."""
    return effect.owned == "service" or str(effect) == "POST /registry/services"


def changes() -> list[Change]:
    """Return the later changes of who asks that the table lists."""
    return [Change(*row) for row in rows("change", 4)]


@dataclass(frozen=True)
class LaterRule:
    """What a later change of what is asked for does to a request."""

    change: str
    effect: Effect
    takes: str  # a scope, or empty where nothing is enough
    until: Effect | None  # what allows it again

    def expected(self, scopes: frozenset[str] | None, *, refused: int, own: bool) -> Expected:
        """Return what has to come of the request after the change."""
        before = expected(self.effect, scopes, own=own)
        if before.status or (self.takes and self.takes in (scopes or ())):
            return before
        return Expected(refused)


def later_rules() -> list[LaterRule]:
    """Return the rules of the table, one for each change."""
    by_request = {str(effect): effect for effect in effects()}
    found = []
    for change, request, takes, until in rows("later", 4):
        scope = "" if takes.startswith("never") else _CODE.findall(takes)[0]
        effect = by_request[_CODE.findall(request)[0]]
        found.append(LaterRule(change, effect, scope, by_request.get(until.strip("`"))))
    return found


def decisions() -> list[str]:
    """Return the names of code that the document says decides something."""
    named = {each for row in _all_rows() for each in _CODE.findall(row[-1])}
    return sorted(each for each in named if _NAME.fullmatch(each))


def rows(first: str, columns: int) -> list[list[str]]:
    """Return the rows of the table whose first column has this title and that has so many."""
    found: list[list[str]] = []
    inside = False
    for row in _all_rows():
        if row[0] in TITLES:
            inside = row[0] == first and len(row) == columns
        elif inside:
            found.append(row)
    return found


def _all_rows() -> Iterator[list[str]]:
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]
