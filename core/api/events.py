"""Events for whoever follows the hub: what happened of each topic, and since when.

An app adds a source for each of its topics. A position in all of them is one text, the id of an
event: who names it again is given what came after. An event may be given twice, and is never left
out unnoticed: where it is no longer known what came between, the topic is to be read anew.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from rest_framework.exceptions import PermissionDenied

from core.api.caller import Caller
from core.exceptions import ValidationFailed
from core.suggestions import did_you_mean

STREAM_TYPE = "text/event-stream"
# As many are given at once of a topic; who missed more reads it anew.
MOST_EVENTS = 500
# So many are looked at for those that are new.
MOST_READ = 2_000
# By commits and clocks, an event may show up so much later than its time says.
LATE_MS = 5_000
# What is given by time is given for so long.
KEPT_MS = 3_600_000
_POSITION = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})*\Z")

# By topic, up to where it is known: an index or the milliseconds of a time.
Marks = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened; `id` is of what it happened to, `mark` says where it is in its topic."""

    topic: str
    id: str
    name: str
    kind: str
    status: str
    mark: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Return what no other event has."""
        return self.topic, self.id, self.kind, self.mark

    def data(self) -> dict[str, str]:
        """Return what callers are given."""
        return {
            "topic": self.topic,
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """The events of a topic after a mark, and up to where that is.

    `is_complete` is false where there were others, which are not known.
    """

    events: Sequence[Event]
    mark: int
    is_complete: bool = True


class EventSource(Protocol):
    """Where the events of a topic are found.

    `scope` is what a caller needs, `news` the topic of `core.news` that is told of them.
    `is_ordered` says that no event shows up behind one with a higher mark.
    """

    topic: str
    scope: str
    news: str
    is_ordered: bool

    def newest(self) -> int:
        """Return the mark of now."""

    def find_after(self, mark: int) -> Found:
        """Return what came after a mark; where marks are times, also some of what came before."""


# Of rows with these ids, how far each is: events whose mark changes with it.
Progress = Callable[[Collection[str]], Iterable[Event]]


class TimedSource(ABC):
    """Events that are found by their time; marks are its milliseconds."""

    is_ordered = False

    def newest(self) -> int:
        return int(time.time() * 1000)

    def find_after(self, mark: int) -> Found:
        now = self.newest()
        if not now - KEPT_MS <= mark <= now + LATE_MS:
            return Found((), now, is_complete=False)
        moment = datetime.fromtimestamp((mark - LATE_MS) / 1000, UTC)
        events = self.read_since(moment, MOST_READ)
        return Found(events, now, is_complete=len(events) < MOST_READ)

    @abstractmethod
    def read_since(self, moment: datetime, most: int) -> Sequence[Event]:
        """Return the first events from a moment on, in the order of their times."""


@dataclass(frozen=True)
class Following:
    """What came after a position: events with the position behind each, and what to read anew."""

    events: list[tuple[str, Event]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    marks: Marks = field(default_factory=dict)


class EventSources:
    """The sources by topic."""

    def __init__(self) -> None:
        self._sources: dict[str, EventSource] = {}
        self._progress: dict[str, Progress] = {}

    def __iter__(self) -> Iterator[EventSource]:
        return iter(self._sources.values())

    def add(self, source: EventSource, *, progress: Progress | None = None) -> None:
        """Let callers follow a topic, and with `progress` also single rows of it."""
        if progress is not None:
            self._progress[source.topic] = progress
        self._sources[source.topic] = source
        self._sources = dict(sorted(self._sources.items()))

    def scopes(self) -> dict[str, str]:
        """Return what it takes to follow each topic."""
        return {topic: source.scope for topic, source in self._sources.items()}

    def newest(self) -> Marks:
        return {topic: source.newest() for topic, source in self._sources.items()}

    def follow(
        self, marks: Marks, topics: Iterable[str], *, known: Container[object] = ()
    ) -> Following:
        """Return what came after these marks, but for the events whose key is known."""
        reached = dict(marks)
        following = Following(marks=reached)
        for topic in topics:
            found = self._sources[topic].find_after(marks[topic])
            events = [event for event in found.events if event.key not in known]
            if not found.is_complete or len(events) > MOST_EVENTS:
                following.lost.append(topic)
                events = []
            for event in events:
                reached[topic] = max(reached[topic], event.mark)
                following.events.append((position_of(reached), event))
            reached[topic] = found.mark
        return following

    def progress_of(self, rows: Mapping[str, Collection[str]]) -> list[Event]:
        """Return how far rows are, which are given as ids by topic."""
        return [event for topic, ids in rows.items() for event in self._progress[topic](ids)]

    def marks_in(self, position: str) -> Marks | None:
        """Return the marks of a position; None where it is not one of this hub."""
        if not _POSITION.match(position):
            return None
        numbers = [int(text) for text in position.split(".")]
        if len(numbers) != len(self._sources):
            return None
        return dict(zip(self._sources, numbers, strict=True))


def position_of(marks: Marks) -> str:
    """Return the text that stands for these marks."""
    return ".".join(str(mark) for _, mark in sorted(marks.items()))


event_sources = EventSources()


def topics_for(caller: Caller, asked: str) -> tuple[str, ...]:
    """Return the topics that are asked for, with commas between them, else all a caller may follow.

    Raises:
        ValidationFailed: a name is none of a topic.
        PermissionDenied: the caller may not follow one that it asks for, or none at all.
    """
    scopes = event_sources.scopes()
    names = {name.strip() for name in asked.split(",") if name.strip()}
    if wrong := sorted(names - scopes.keys()):
        hint = did_you_mean(wrong[0], scopes)
        sentence = f"There is no topic '{wrong[0][:100]}'{hint} Use: {', '.join(scopes)}."
        raise ValidationFailed.at("topics", sentence)
    topics = tuple(
        t for t, scope in scopes.items() if caller.may(scope) and (t in names or not names)
    )
    if not topics or names - set(topics):
        missing = sorted({scopes[t] for t in names or scopes if t not in topics})
        raise PermissionDenied(f"This needs the scope {' or '.join(missing)}.")
    return topics
