"""How soon models answered lately, as this process saw it."""

from __future__ import annotations

import random

from core.cache import BoundedCache

MOST_MODELS = 1000
# How much the latest answer weighs beside all before it.
NEW_SHARE = 0.2
# So often another model than the fastest is asked first, or nobody would notice that it is faster.
EXPLORED_SHARE = 0.1
FAILED_MS = 10_000.0


class Paces:
    """Moving averages of milliseconds: to the first piece of streams, to the end of whole answers.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._averages: BoundedCache[tuple[str, bool], float] = BoundedCache(MOST_MODELS)

    def note(self, model: str, milliseconds: float, *, stream: bool) -> None:
        known = self._averages.get((model, stream), milliseconds)
        self._averages[model, stream] = known + (milliseconds - known) * NEW_SHARE

    def note_failure(self, model: str, *, stream: bool) -> None:
        """Count a model that did not answer as one that is slow, or it would be tried for ever."""
        self.note(model, FAILED_MS, stream=stream)

    def of(self, model: str, *, stream: bool) -> float:
        """Return the average of a model; nothing of one that was not asked, so that it is."""
        return self._averages.get((model, stream), 0.0)

    def clear(self) -> None:
        self._averages.clear()


def fastest_first(paces: list[float], chance: random.Random) -> list[int]:
    """Return the places of these averages in the order in which they are asked (pure)."""
    places = sorted(range(len(paces)), key=paces.__getitem__)
    if len(places) > 1 and chance.random() < EXPLORED_SHARE:
        places.insert(0, places.pop(chance.randrange(1, len(places))))
    return places


paces = Paces()
