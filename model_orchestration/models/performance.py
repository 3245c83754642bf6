"""How well models do tasks: counted from answers and from what people say of them.

Only sums are kept, so that nothing drifts and whatever is told is told of all samples.
"""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.db.models import AppendedModel, TimestampedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from model_orchestration.models.fields import counter_field

# Of a task of which nobody rated an answer yet.
UNRATED_QUALITY = 0.5


class PerformancePeriod(Vocabulary):
    """The times for which history is kept; they begin in UTC, weeks on Mondays."""

    DAY = "DAY", "Day"
    WEEK = "WEEK", "Week"
    MONTH = "MONTH", "Month"


def _sum_field() -> models.FloatField:
    return models.FloatField(default=0.0, editable=False)


class SampledModel(TimestampedModel):
    """Counts of the samples of a model at a task."""

    model_id = models.CharField(max_length=100)
    task_type = models.CharField(max_length=50)
    # Answers, and what was said of them, which weighs more.
    sample_count = counter_field()
    success_count = counter_field()
    # Of the samples that say how good an answer was, and how good.
    quality_count = counter_field()
    quality_sum = _sum_field()
    # Of answers that came whole: how sure their end makes one that they are complete.
    confidence_count = counter_field()
    confidence_sum = _sum_field()

    class Meta:
        abstract = True

    @property
    def quality_score(self) -> float:
        """The mean of the ratings, from 0 to 1; in the middle where there are none."""
        return self.quality_sum / self.quality_count if self.quality_count else UNRATED_QUALITY

    @property
    def success_rate(self) -> float:
        """The share of samples that were successes."""
        return self.success_count / self.sample_count if self.sample_count else 0.0

    @property
    def confidence(self) -> float | None:
        """The mean of how complete answers seem; None where none was counted."""
        return self.confidence_sum / self.confidence_count if self.confidence_count else None


class ModelPerformance(SampledModel):
    """How well a model does a task, of all samples since it was reset."""

    class Meta:
        db_table = "model_performance"
        ordering = ("task_type", "model_id")
        constraints = (
            models.UniqueConstraint(
                fields=("model_id", "task_type"), name="idx_model_performance_model_task"
            ),
        )
        indexes = (models.Index(fields=("task_type",), name="model_performance_task_idx"),)

    def __str__(self) -> str:
        return f"{self.model_id} at {self.task_type}"


class ModelPerformanceHistory(SampledModel):
    """How well a model did a task in a day, a week or a month: of the samples of that time."""

    period_type = EnumField(vocabulary=PerformancePeriod, max_length=20)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()

    class Meta:
        db_table = "model_performance_history"
        ordering = ("-period_start", "task_type", "model_id")
        verbose_name_plural = "model performance history"
        constraints = (
            enum_check("model_performance_history", "period_type", PerformancePeriod),
            models.UniqueConstraint(
                fields=("model_id", "task_type", "period_start", "period_type"),
                name="idx_model_history_model_task_period",
            ),
        )
        indexes = (
            models.Index(fields=("period_type", "period_start"), name="model_history_period_idx"),
        )

    def __str__(self) -> str:
        return f"{self.model_id} at {self.task_type} from {self.period_start:%Y-%m-%d}"


class ModelFeedback(AppendedModel):
    """What somebody says of an answer: whether it served, how good it was, what is right."""

    request_id = models.CharField(max_length=128)
    model_id = models.CharField(max_length=100)
    task_type = models.CharField(max_length=50, blank=True, default="")
    quality_rating = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    success = models.BooleanField(default=True)
    feedback_text = models.TextField(blank=True, default="", max_length=5000)
    original_content = models.TextField(blank=True, default="")
    corrected_content = models.TextField(blank=True, default="")
    has_corrections = models.BooleanField(default=False)
    user_id = models.CharField(max_length=100, blank=True, default="")
    caller = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        db_table = "model_feedback"
        ordering = ("-id",)
        verbose_name_plural = "model feedback"
        constraints = (
            models.CheckConstraint(
                name="model_feedback_rating_check",
                condition=Q(quality_rating__isnull=True)
                | Q(quality_rating__gte=0, quality_rating__lte=1),
            ),
        )
        indexes = (
            models.Index(fields=("request_id",), name="model_feedback_request_idx"),
            models.Index(fields=("model_id", "-id"), name="model_feedback_model_idx"),
        )

    def __str__(self) -> str:
        return f"{self.model_id}: {'good' if self.success else 'bad'}"
