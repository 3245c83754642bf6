"""What may be spent: quotas of providers, budgets, and the windows in which it is counted."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from core.db.json_fields import CheckedJSONField, validate_list
from core.db.models import NamedQuerySet, ReferencedModel, TimestampedModel, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from model_orchestration.models.fields import (
    cost_limit_field,
    count_limit_field,
    counter_field,
    validate_percents,
)
from model_orchestration.models.model import ModelProvider
from model_orchestration.periods import zone_of

LONGEST_ROLLING_SECONDS = 366 * 86_400
SHORTEST_ROLLING_SECONDS = 60


class BudgetScope(Vocabulary):
    """Whose spending a budget bounds."""

    ALL = "ALL", "All requests"
    KEY = "KEY", "An API key"
    PROJECT = "PROJECT", "A project"
    USER = "USER", "A user"
    MODEL = "MODEL", "A model"


class BudgetPeriod(Vocabulary):
    """The times in which spending is counted."""

    DAY = "DAY", "Day"
    MONTH = "MONTH", "Month"
    ROLLING = "ROLLING", "Rolling"


class OnExceed(Vocabulary):
    """What becomes of a request that a limit does not leave room for."""

    REJECT = "REJECT", "Refuse it"
    WARN = "WARN", "Let it pass, and warn"


def warnings() -> list[int]:
    """Return the percents of a limit at which is warned, unless told otherwise."""
    return [50, 80, 95]


def validate_zone(value: str) -> None:
    """Refuse what is no time zone of the IANA database."""
    try:
        zone_of(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _zone_field() -> Any:
    return models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_zone],
        help_text="Where days and months begin, such as Europe/Berlin.",
    )


def _on_exceed_field() -> EnumField:
    return EnumField(vocabulary=OnExceed, max_length=20, default=OnExceed.REJECT)


def _warn_at_field() -> CheckedJSONField:
    return CheckedJSONField(
        default=warnings,
        blank=True,
        validators=[validate_percents],
        help_text="At how many percent of a limit is warned, once in each window.",
    )


class ProviderQuota(TimestampedModel):
    """What all requests to one kind of provider may use in a day and in a month."""

    provider = EnumField(vocabulary=ModelProvider, max_length=20, unique=True)
    daily_token_limit = count_limit_field()
    monthly_token_limit = count_limit_field()
    daily_cost_limit = cost_limit_field()
    monthly_cost_limit = cost_limit_field()
    time_zone = _zone_field()
    on_exceed = _on_exceed_field()
    warn_at = _warn_at_field()

    class Meta:
        db_table = "provider_quota"
        ordering = ("provider",)
        constraints = (
            enum_check("provider_quota", "provider", ModelProvider),
            enum_check("provider_quota", "on_exceed", OnExceed),
        )

    def __str__(self) -> str:
        return str(self.get_provider_display())

    @property
    def name(self) -> str:
        """What it is called in refusals."""
        return f"quota of {self.provider}"


class BudgetQuerySet(NamedQuerySet["ModelBudget"]):
    """Selections of budgets."""


class ModelBudget(ReferencedModel):
    """What a key, a project, a user or a model may use in a period."""

    scope = EnumField(vocabulary=BudgetScope, max_length=20)
    subject = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="The key by its name or id, the project, the user, or the model id.",
    )
    period = EnumField(vocabulary=BudgetPeriod, max_length=20, default=BudgetPeriod.MONTH)
    rolling_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[
            MinValueValidator(SHORTEST_ROLLING_SECONDS),
            MaxValueValidator(LONGEST_ROLLING_SECONDS),
        ],
        help_text="Of a ROLLING period: how far back is counted.",
    )
    token_limit = count_limit_field()
    cost_limit = cost_limit_field()
    request_limit = count_limit_field()
    time_zone = _zone_field()
    on_exceed = _on_exceed_field()
    warn_at = _warn_at_field()

    objects = BudgetQuerySet.as_manager()

    class Meta:
        db_table = "model_budget"
        ordering = ("name",)
        constraints = (
            enum_check("model_budget", "scope", BudgetScope),
            enum_check("model_budget", "period", BudgetPeriod),
            enum_check("model_budget", "on_exceed", OnExceed),
            name_constraint("model_budget", "A budget"),
        )


class QuotaWindow(TimestampedModel):
    """What is used and reserved of something in one stretch of time.

    A new period is a new row: nothing is ever reset. `series` says of whose spending and of which
    period it is; the id follows from it and from `starts_at`, so that nobody has to look it up.
    """

    series = models.CharField(max_length=250)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    used_tokens = counter_field()
    reserved_tokens = counter_field()
    used_nanousd = counter_field()
    reserved_nanousd = counter_field()
    used_requests = counter_field()
    reserved_requests = counter_field()
    # Whether the record of requests tells all that was ever used and reserved of it.
    is_traceable = models.BooleanField(default=False, editable=False)
    # Of which limits is warned already: "cost:80".
    warned = CheckedJSONField(default=list, blank=True, validators=[validate_list])

    class Meta:
        db_table = "quota_window"
        ordering = ("series", "starts_at")
        constraints = (
            models.UniqueConstraint(fields=("series", "starts_at"), name="quota_window_key"),
        )

    def __str__(self) -> str:
        return f"{self.series} from {self.starts_at:%Y-%m-%d %H:%M}"
