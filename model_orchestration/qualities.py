"""How good answers of models were, by feedback, as it was known at most some seconds ago."""

from __future__ import annotations

import time
from collections.abc import Mapping

from django.db.models import F, Sum

from core.cache import BoundedCache
from model_orchestration.models import ModelPerformance
from model_orchestration.samples import task_type_of

FRESH_SECONDS = 5.0
_known: BoundedCache[str, tuple[float, Mapping[str, float]]] = BoundedCache(100)


def qualities_at(task_type: str) -> Mapping[str, float]:
    """Return the mean rating at a task, or at all if none is named, of each model that has one.

    Models are named in lower case.
    """
    task = task_type_of(task_type)
    known = _known.get(task)
    if known is not None and time.monotonic() < known[0]:
        return known[1]
    read = _read(task)
    _known[task] = (time.monotonic() + FRESH_SECONDS, read)
    return read


def forget_qualities() -> None:
    _known.clear()


def _read(task: str) -> dict[str, float]:
    rows = ModelPerformance.objects.filter(quality_count__gt=0)
    if task:
        rows = rows.filter(task_type=task)
    sums = rows.values("model_id").annotate(mean=Sum("quality_sum") * 1.0 / Sum(F("quality_count")))
    return {each["model_id"].lower(): float(each["mean"]) for each in sums.order_by("model_id")}
