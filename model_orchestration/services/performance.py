"""How well models do tasks: what people say of answers, and which model is best for a task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from core import audit
from core.exceptions import NotFound, ValidationFailed
from core.models import AuditVerb
from core.suggestions import did_you_mean
from model_orchestration.exceptions import ModelNotFound
from model_orchestration.models import Model, ModelFeedback, ModelPerformance, Request
from model_orchestration.samples import FEEDBACK_WEIGHT, Sample, add_samples, task_type_of

LEAST_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a model has to reach at a task to be chosen for it."""

    min_quality: float = 0.0
    min_success_rate: float = 0.0
    min_samples: int = LEAST_SAMPLES
    models: Collection[str] = ()


def give_feedback(fields: Mapping[str, Any], *, caller: str) -> ModelFeedback:
    """Record what somebody says of an answer, and count it for the model and the task.

    The task is that of the request, where nobody says which.

    Raises:
        ModelNotFound: no model of that id is or was asked.
        ValidationFailed: another model answered that request.
    """
    asked = Request.objects.filter(request_id=fields["request_id"]).first()
    model = _model_of(str(fields["model_id"]), asked)
    task_type = task_type_of(str(fields.get("task_type") or (asked.task_type if asked else "")))
    corrections = fields.get("corrections") or {}
    row = ModelFeedback(
        request_id=fields["request_id"],
        model_id=model,
        task_type=task_type,
        quality_rating=fields.get("quality_rating"),
        success=fields["success"],
        feedback_text=fields.get("feedback") or "",
        original_content=corrections.get("original") or "",
        corrected_content=corrections.get("corrected") or "",
        has_corrections=bool(corrections),
        user_id=str(fields.get("user_id") or "")[:100],
        caller=caller[:100],
    )
    with transaction.atomic():
        row.save(force_insert=True)
        if task_type:
            add_samples([_sample_of(row)])
    return row


def _sample_of(row: ModelFeedback) -> Sample:
    return Sample(
        row.model_id, row.task_type, timezone.now(), row.success, FEEDBACK_WEIGHT,
        row.quality_rating,
    )  # fmt: skip


def _model_of(reference: str, asked: Request | None) -> str:
    """Return the id of the model that is meant, as it is registered."""
    if asked is not None:
        if reference.lower() not in (asked.model_id.lower(), asked.model_asked.lower()):
            sentence = f"That request was answered by '{asked.model_id}'."
            raise ValidationFailed.at("model_id", sentence)
        return asked.model_id
    if (model := Model.objects.find(reference)) is not None:
        return model.name
    names = list(Model.objects.values_list("name", flat=True)[:1000])
    raise ModelNotFound(f"There is no model '{reference[:100]}'{did_you_mean(reference, names)}")


def performance_of(
    *, model: str = "", task_type: str = "", min_samples: int = LEAST_SAMPLES
) -> list[dict[str, Any]]:
    """Return how well each model does its tasks; tasks with fewer samples are left out."""
    rows = ModelPerformance.objects.filter(sample_count__gte=min_samples)
    if model:
        rows = rows.filter(model_id__iexact=model)
    if task_type:
        rows = rows.filter(task_type=task_type_of(task_type))
    by_model: dict[str, list[ModelPerformance]] = defaultdict(list)
    for row in rows.order_by("model_id", "task_type"):
        by_model[row.model_id].append(row)
    return [told_of(name, rows) for name, rows in by_model.items()]


def told_of(model: str, rows: Iterable[ModelPerformance]) -> dict[str, Any]:
    """Return how well a model does tasks: overall, weighted by their samples, and each."""
    rows = list(rows)
    count = sum(row.sample_count for row in rows)

    def mean(name: str) -> float:
        total = sum(getattr(row, name) * row.sample_count for row in rows)
        return round(total / count, 4) if count else 0.0

    metrics = {
        "overall_quality": mean("quality_score"),
        "success_rate": mean("success_rate"),
        "task_specific": {row.task_type: numbers_of(row) for row in rows},
    }
    return {"model_id": model, "metrics": metrics, "sample_count": count}


def numbers_of(row: Any) -> dict[str, Any]:
    """Return the numbers of a model at a task; `rated_count` says how many samples are ratings."""
    return {
        "quality_score": round(row.quality_score, 4),
        "success_rate": round(row.success_rate, 4),
        "sample_count": row.sample_count,
        "rated_count": row.quality_count,
        "confidence": None if row.confidence is None else round(row.confidence, 4),
    }


def best_model_for(task_type: str, ranking: Ranking) -> ModelPerformance:
    """Return how the best model does a task: by quality, then success rate, then samples.

    A model that is not registered, or INACTIVE, is none to be asked.

    Raises:
        NotFound: no model does it well enough, or often enough to know.
    """
    wanted = {name.lower() for name in ranking.models}
    served = {name.lower() for name in _served_names()}
    rows = [
        row
        for row in ModelPerformance.objects.filter(task_type=task_type_of(task_type))
        if row.model_id.lower() in served
        and (not wanted or row.model_id.lower() in wanted)
        and row.sample_count >= ranking.min_samples
        and row.quality_score >= ranking.min_quality
        and row.success_rate >= ranking.min_success_rate
    ]
    if not rows:
        raise NotFound(f"No model has done '{task_type[:50]}' well enough, and often enough.")
    return max(rows, key=_rank)


def _rank(row: ModelPerformance) -> tuple[float, float, int, str]:
    return (row.quality_score, row.success_rate, row.sample_count, row.model_id)


def _served_names() -> list[str]:
    return list(Model.objects.exclude(status="INACTIVE").values_list("name", flat=True))


def reset_performance(model: str, task_types: Collection[str]) -> int:
    """Forget how well a model does these tasks, or all; return how many. History stays.

    Raises:
        NotFound: there is no such model.
    """
    row = Model.objects.get_named(model)
    with transaction.atomic():
        found = ModelPerformance.objects.filter(model_id__iexact=row.name)
        if task_types:
            found = found.filter(task_type__in=[task_type_of(each) for each in task_types])
        names = sorted(found.values_list("task_type", flat=True))
        found.delete()
        audit.record(AuditVerb.RESET, row, changes={"task_types": names})
    return len(names)
