"""Makes figures of models, and what was said of them, of those of the earlier system (pure)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.identifiers import id_of_text
from integration_site.adoption.bulk_rows import NewRow
from integration_site.adoption.conversion.executions import ordered_id
from integration_site.adoption.conversion.values import Cells
from model_orchestration.models import PerformancePeriod
from model_orchestration.models.performance import UNRATED_QUALITY

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_TRUE = ("t", "true", "1")


def convert_performance(cells: Cells) -> NewRow:
    """Return the sums that stand for the means which the earlier system kept.

    It did not count ratings: where there were any, every sample stands for one.
    """
    samples = cells.count("sample_count")
    metrics = cells.object("metrics")
    score = _share(cells, "quality_score")
    is_rated = bool(_sum(metrics, "quality_sum")) or score != UNRATED_QUALITY
    confidence = _sum(metrics, "confidence_sum")
    created = cells.time("created_at") or _BEGINNING
    return {
        "id": id_of_text(cells.row.get("id") or ""),
        "model_id": cells.text("model_id", most=100),
        "task_type": cells.text("task_type", most=50),
        "sample_count": samples,
        "success_count": round(_share(cells, "success_rate") * samples),
        "quality_count": samples if is_rated else 0,
        "quality_sum": score * samples if is_rated else 0.0,
        "confidence_count": samples if confidence else 0,
        "confidence_sum": confidence,
        "created_at": created,
        "updated_at": cells.time("updated_at") or created,
    }


def convert_history(cells: Cells) -> NewRow | None:
    """The same for a day, a week or a month; None where its beginning is not known."""
    starts_at = cells.time("period_start")
    if starts_at is None:
        cells.notes.left("nobody knows when its time began")
        return None
    period = cells.enum("period_type", PerformancePeriod, PerformancePeriod.DAY)
    return {
        **convert_performance(cells),
        "period_type": period,
        "period_start": starts_at,
        "period_end": cells.time("period_end") or starts_at,
    }


def convert_feedback(cells: Cells) -> NewRow:
    """Return what somebody said of an answer."""
    created = cells.time("created_at") or _BEGINNING
    rating = _share(cells, "quality_rating") if cells.row.get("quality_rating") else None
    return {
        "id": ordered_id(created, id_of_text(cells.row.get("id") or ""), 0),
        **{name: cells.text(name, most=128) for name in ("request_id",)},
        **{name: cells.text(name, most=100) for name in ("model_id", "user_id")},
        "task_type": cells.text("task_type", most=50),
        "quality_rating": rating,
        "success": cells.text("success").lower() in _TRUE,
        "feedback_text": cells.text("feedback_text", most=5000),
        "original_content": cells.text("original_content"),
        "corrected_content": cells.text("corrected_content"),
        "has_corrections": cells.text("has_corrections").lower() in _TRUE,
        "created_at": created,
        "updated_at": created,
    }


def _share(cells: Cells, column: str) -> float:
    """Return a number from 0 to 1."""
    number = cells.number(column)
    if number is None:
        return 0.0
    if 0 <= number <= 1:
        return number
    cells.notes.mended(column, f"{number:g} is no share; taken as the nearest that is")
    return 1.0 if number > 1 else 0.0


def _sum(metrics: dict[str, Any], name: str) -> float:
    value = metrics.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0.0
    return float(value) if 0 <= value < 10**12 else 0.0
