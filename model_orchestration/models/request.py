"""Requests to models: each has its row, and what it may cost is reserved, before it is sent."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from core.db.json_fields import CheckedJSONField, object_field, validate_list
from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from model_orchestration.models.fields import counter_field, usd_of
from model_orchestration.models.model import ModelProvider, RequestType


class RequestState(Vocabulary):
    """How far a request is, or how it ended."""

    ADMITTED = "ADMITTED", "Admitted: its cost is reserved"
    SETTLED = "SETTLED", "Settled: answered whole"
    FAILED = "FAILED", "Failed: no answer"
    CUT = "CUT", "Cut: the answer broke off"
    ABANDONED = "ABANDONED", "Abandoned: the caller left"
    REFUSED = "REFUSED", "Refused: over a budget, not sent"
    EXPIRED = "EXPIRED", "Expired: its process ended, charged what was reserved"


OPEN_STATES = (RequestState.ADMITTED,)


LONGEST_REASON = 500


class UsageSource(Vocabulary):
    """Where the counted tokens are from."""

    PROVIDER = "PROVIDER", "Told by the provider"
    ESTIMATED = "ESTIMATED", "Estimated"
    NONE = "NONE", "Nothing was used"


class Request(AppendedModel):
    """A request to a model: who asked for what, who served it, what it used and cost."""

    request_id = models.CharField(max_length=128, unique=True)
    request_type = EnumField(vocabulary=RequestType, max_length=24)
    # The model that served it, or was to: not a reference, as a record outlasts its model.
    model_id = models.CharField(max_length=100)
    model_asked = models.CharField(max_length=200)
    route = models.CharField(max_length=100, blank=True, default="")
    # Why that model, and not another one.
    choice_reason = models.CharField(max_length=LONGEST_REASON, blank=True, default="")
    provider = EnumField(vocabulary=ModelProvider, max_length=20)
    api_key = models.CharField(max_length=64, blank=True, default="")
    caller = models.CharField(max_length=100, blank=True, default="")
    user_id = models.CharField(max_length=100, blank=True, default="")
    project_id = models.CharField(max_length=100, blank=True, default="")
    task_id = models.CharField(max_length=100, blank=True, default="")
    task_type = models.CharField(max_length=50, blank=True, default="")

    state = EnumField(vocabulary=RequestState, max_length=20, default=RequestState.ADMITTED)
    stream = models.BooleanField(default=False)
    # One for each time that a model was asked: model, error, status, milliseconds.
    attempts = CheckedJSONField(default=list, blank=True, validators=[validate_list])

    prompt_tokens = models.IntegerField(null=True, blank=True)
    completion_tokens = models.IntegerField(null=True, blank=True)
    total_tokens = models.IntegerField(null=True, blank=True)
    cached_tokens = models.IntegerField(default=0)
    cache_write_tokens = models.IntegerField(default=0)
    reasoning_tokens = models.IntegerField(default=0)
    images = models.IntegerField(default=0)
    audio_seconds = models.FloatField(default=0)
    usage_source = EnumField(vocabulary=UsageSource, max_length=20, default=UsageSource.NONE)

    reserved_nanousd = counter_field()
    reserved_tokens = counter_field()
    cost_nanousd = counter_field()
    # What is held of which windows, for whoever settles it; after that, what was used of them: the
    # id of the window, tokens, billionths of a dollar, requests; and more that settling needs.
    held = CheckedJSONField(default=list, blank=True, validators=[validate_list], editable=False)
    lease_until = models.DateTimeField(null=True, blank=True)

    latency_ms = models.FloatField(null=True, blank=True)
    first_token_ms = models.FloatField(null=True, blank=True)
    success = models.BooleanField(default=False)
    error_code = models.CharField(max_length=50, blank=True, default="")
    error_message = models.CharField(max_length=1000, blank=True, default="")
    request_data = object_field()
    response_data = models.JSONField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "request"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                name="request_type_check", condition=Q(request_type__in=RequestType.values)
            ),
            enum_check("request", "provider", ModelProvider),
            enum_check("request", "state", RequestState),
            enum_check("request", "usage_source", UsageSource),
        )
        indexes = (
            models.Index(fields=("project_id", "-id"), name="request_project_idx"),
            models.Index(fields=("model_id", "-id"), name="request_model_idx"),
            # The sweep reads only what is open.
            models.Index(
                fields=("lease_until",), name="request_lease_idx", condition=Q(state="ADMITTED")
            ),
        )

    def __str__(self) -> str:
        return self.request_id

    @property
    def has_text(self) -> bool:
        """Whether an earlier system wrote down with it what was asked; this one never does."""
        sizes = (v for k, v in self.request_data.items() if k not in ("parameters", "digest"))
        is_described = "digest" in self.request_data and all(isinstance(v, int) for v in sizes)
        return bool(self.request_data) and not is_described

    @property
    def told_data(self) -> dict[str, Any]:
        """The sizes and parameters of what was said, for whoever sees the record: never text."""
        return {} if self.has_text else self.request_data

    @property
    def cost(self) -> float:
        """What it cost, in US dollars."""
        return float(usd_of(self.cost_nanousd))
