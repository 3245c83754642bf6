"""Models, routes, budgets, prices and requests, as they are asked for and answered."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from core.api.fields import AnyField, NumberField, ObjectField, VocabularyField
from core.api.instants import InstantField
from core.api.patches import PatchSerializer
from core.api.serializers import AnswerSerializer, StrictSerializer
from model_orchestration.models import (
    BudgetPeriod,
    BudgetScope,
    ContentKept,
    ContentPolicy,
    Model,
    ModelBudget,
    ModelPrice,
    ModelProvider,
    ModelRoute,
    ModelStatus,
    OnExceed,
    ProviderQuota,
    Request,
    RequestState,
    RequestType,
    RouteStrategy,
    UsageSource,
)
from model_orchestration.models.content import LONGEST_RETENTION_DAYS
from model_orchestration.models.fields import MOST_USD
from model_orchestration.models.route import LONGEST_DEADLINE, MOST_ATTEMPTS, ErrorClass
from model_orchestration.redaction import LONGEST_PATTERN

LARGEST = 2**31 - 1


class AmountField(NumberField):
    """An amount of US dollars, kept as it is written in decimal."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=float(MOST_USD), **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        return Decimal(repr(value)) if isinstance(value, float) else value


def _count(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=0, max_value=2**53, allow_null=True, required=False, **options
    )


def _amount() -> AmountField:
    return AmountField(allow_null=True, required=False)


def _rate() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=LARGEST, allow_null=True, required=False)


class ModelSerializer(AnswerSerializer):
    """A model in an answer."""

    model_id = serializers.CharField(source="name")
    provider = VocabularyField(ModelProvider)
    status = VocabularyField(ModelStatus)
    connection = serializers.CharField(source="connection.name")
    capabilities = serializers.ListField(child=serializers.CharField())
    aliases = serializers.ListField(child=serializers.CharField())
    cost_per_token = serializers.FloatField(allow_null=True)
    configuration = ObjectField()
    metadata = ObjectField()
    large = ("description", "aliases", "configuration", "metadata")
    whole_at = "/models/{row.pk}"

    class Meta:
        model = Model
        fields = (
            "id", "name", "model_id", "provider", "display_name", "description", "capabilities",
            "status", "connection", "provider_model", "aliases", "max_tokens", "token_limit",
            "cost_per_token", "rpm", "tpm", "replacement", "configuration", "metadata",
            "paused_until", "created_at", "updated_at",
        )  # fmt: skip


class ModelInput(StrictSerializer):
    """A model as it is registered or changed."""

    name = serializers.CharField(max_length=100)
    provider = VocabularyField(ModelProvider, required=False)
    display_name = serializers.CharField(max_length=100, allow_blank=True, required=False)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    capabilities = serializers.ListField(child=VocabularyField(RequestType), max_length=10)
    status = VocabularyField(ModelStatus, required=False)
    connection = serializers.CharField(max_length=100, required=False)
    provider_model = serializers.CharField(max_length=200, allow_blank=True, required=False)
    aliases = serializers.ListField(
        child=serializers.CharField(max_length=100), max_length=50, required=False
    )
    max_tokens = serializers.IntegerField(
        min_value=1, max_value=LARGEST, allow_null=True, required=False
    )
    token_limit = serializers.IntegerField(
        min_value=1, max_value=LARGEST, allow_null=True, required=False
    )
    cost_per_token = _amount()
    rpm = _rate()
    tpm = _rate()
    replacement = serializers.CharField(max_length=100, allow_blank=True, required=False)
    configuration = ObjectField(required=False)
    metadata = ObjectField(required=False)
    other_names = {"model_id": "name"}


class ModelPatch(PatchSerializer, ModelInput):
    """A change of a model."""

    model = Model
    lasting = frozenset({"connection", "provider"})
    merged = frozenset({"configuration", "metadata"})


class PriceSerializer(AnswerSerializer):
    """What a model costs from a time on, in US dollars; tokens by the million."""

    input = serializers.FloatField()
    output = serializers.FloatField()
    cached_input = serializers.FloatField(allow_null=True)
    cache_write = serializers.FloatField(allow_null=True)
    reasoning = serializers.FloatField(allow_null=True)
    per_image = serializers.FloatField(allow_null=True)
    per_second = serializers.FloatField(allow_null=True)

    class Meta:
        model = ModelPrice
        fields = (
            "id", "valid_from", "input", "output", "cached_input", "cache_write", "reasoning",
            "per_image", "per_second", "created_at",
        )  # fmt: skip


class PriceInput(StrictSerializer):
    """What a model is to cost from a time on."""

    valid_from = InstantField(required=False)
    input = AmountField()
    output = AmountField()
    cached_input = _amount()
    cache_write = _amount()
    reasoning = _amount()
    per_image = _amount()
    per_second = _amount()


class RouteTargetInput(StrictSerializer):
    """A model of a route."""

    model = serializers.CharField(max_length=100)
    weight = serializers.IntegerField(min_value=0, max_value=1000, required=False)


class RouteSerializer(AnswerSerializer):
    """A route in an answer."""

    strategy = VocabularyField(RouteStrategy)
    targets = RouteTargetInput(many=True)
    fallback_on = serializers.ListField(child=serializers.CharField())
    large = ("description", "targets", "fallback_on")
    whole_at = "/models/routes/{row.pk}"

    class Meta:
        model = ModelRoute
        fields = (
            "id", "name", "description", "strategy", "targets", "fallback_on", "max_attempts",
            "deadline_seconds", "created_at", "updated_at",
        )  # fmt: skip


class RouteInput(StrictSerializer):
    """A route as it is made or changed."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    strategy = VocabularyField(RouteStrategy, required=False)
    targets = RouteTargetInput(many=True)
    fallback_on = serializers.ListField(
        child=VocabularyField(ErrorClass), max_length=20, required=False
    )
    max_attempts = serializers.IntegerField(min_value=1, max_value=MOST_ATTEMPTS, required=False)
    deadline_seconds = NumberField(min_value=0.1, max_value=LONGEST_DEADLINE, required=False)


class RoutePatch(PatchSerializer, RouteInput):
    """A change of a route."""

    model = ModelRoute


class BudgetSerializer(AnswerSerializer):
    """A budget in an answer."""

    scope = VocabularyField(BudgetScope)
    period = VocabularyField(BudgetPeriod)
    on_exceed = VocabularyField(OnExceed)
    cost_limit = serializers.FloatField(allow_null=True)
    warn_at = serializers.ListField(child=serializers.IntegerField())
    large = ("description",)
    whole_at = "/models/budgets/{row.pk}"

    class Meta:
        model = ModelBudget
        fields = (
            "id", "name", "description", "scope", "subject", "period", "rolling_seconds",
            "token_limit", "cost_limit", "request_limit", "time_zone", "on_exceed", "warn_at",
            "created_at", "updated_at",
        )  # fmt: skip


class _LimitsInput(StrictSerializer):
    time_zone = serializers.CharField(max_length=64, required=False)
    on_exceed = VocabularyField(OnExceed, required=False)
    warn_at = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=100), max_length=10, required=False
    )


class BudgetInput(_LimitsInput):
    """A budget as it is made or changed."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    scope = VocabularyField(BudgetScope)
    subject = serializers.CharField(max_length=100, allow_blank=True, required=False)
    period = VocabularyField(BudgetPeriod, required=False)
    rolling_seconds = serializers.IntegerField(
        min_value=60, max_value=366 * 86_400, allow_null=True, required=False
    )
    token_limit = _count()
    cost_limit = _amount()
    request_limit = _count()


class BudgetPatch(PatchSerializer, BudgetInput):
    """A change of a budget."""

    model = ModelBudget


class QuotaSerializer(AnswerSerializer):
    """The quota of a provider in an answer."""

    provider = VocabularyField(ModelProvider)
    on_exceed = VocabularyField(OnExceed)
    daily_cost_limit = serializers.FloatField(allow_null=True)
    monthly_cost_limit = serializers.FloatField(allow_null=True)
    warn_at = serializers.ListField(child=serializers.IntegerField())

    class Meta:
        model = ProviderQuota
        fields = (
            "id", "provider", "daily_token_limit", "monthly_token_limit", "daily_cost_limit",
            "monthly_cost_limit", "time_zone", "on_exceed", "warn_at", "created_at", "updated_at",
        )  # fmt: skip


class QuotaInput(_LimitsInput):
    """The quota of a provider as it is set: what is not given is not limited."""

    daily_token_limit = _count()
    monthly_token_limit = _count()
    daily_cost_limit = _amount()
    monthly_cost_limit = _amount()


class PatternInput(StrictSerializer):
    """Something that is taken out of texts: what it is called then, and how it is found."""

    name = serializers.CharField(max_length=30)
    pattern = serializers.CharField(max_length=LONGEST_PATTERN, trim_whitespace=False)


class ContentPolicySerializer(AnswerSerializer):
    """A content policy in an answer."""

    keeps = VocabularyField(ContentKept)
    patterns = PatternInput(many=True)
    large = ("description", "patterns")
    whole_at = "/models/content-policies/{row.pk}"

    class Meta:
        model = ContentPolicy
        fields = (
            "id", "name", "description", "keeps", "retention_days", "patterns", "created_at",
            "updated_at",
        )  # fmt: skip


class ContentPolicyInput(StrictSerializer):
    """A content policy as it is made or changed."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    keeps = VocabularyField(ContentKept, required=False)
    retention_days = serializers.IntegerField(
        min_value=1, max_value=LONGEST_RETENTION_DAYS, required=False
    )
    patterns = PatternInput(many=True, required=False)


class ContentPolicyPatch(PatchSerializer, ContentPolicyInput):
    """A change of a content policy."""

    model = ContentPolicy


class RequestContentSerializer(serializers.Serializer[Any]):
    """What is kept of what was said in a request."""

    request = AnyField()
    answer = AnyField()
    keeps = VocabularyField(ContentKept)
    redactions = serializers.IntegerField()
    expires_at = serializers.DateTimeField(allow_null=True)


class RequestSerializer(AnswerSerializer):
    """A request in an answer."""

    request_type = VocabularyField(RequestType)
    provider = VocabularyField(ModelProvider)
    state = VocabularyField(RequestState)
    usage_source = VocabularyField(UsageSource)
    attempts = AnyField()
    request_data = ObjectField(source="told_data")
    cost = serializers.FloatField()
    large = ("attempts", "error_message", "request_data")
    whole_at = "/models/requests/{row.pk}"

    class Meta:
        model = Request
        fields = (
            "id", "request_id", "request_type", "state", "model_id", "model_asked", "route",
            "choice_reason", "provider", "caller", "user_id", "project_id", "task_id", "task_type",
            "stream", "attempts", "prompt_tokens", "completion_tokens", "total_tokens",
            "cached_tokens", "cache_write_tokens", "reasoning_tokens", "images", "audio_seconds",
            "usage_source", "cost", "latency_ms", "first_token_ms", "success", "error_code",
            "error_message", "request_data", "created_at", "completed_at",
        )  # fmt: skip
