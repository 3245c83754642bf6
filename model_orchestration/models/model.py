"""Models: what a provider offers, under the id by which callers ask for it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from core.db.json_fields import CheckedJSONField, metadata_field, object_field, validate_strings
from core.db.models import NamedQuerySet, ReferencedModel, name_constraint
from core.db.names import refuse_id
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from model_orchestration.models.fields import validate_aliases, validate_model_id


class ModelProvider(Vocabulary):
    """The kinds of providers; CUSTOM is any server that speaks as OpenAI does."""

    OPENAI = "OPENAI", "OpenAI"
    ANTHROPIC = "ANTHROPIC", "Anthropic"
    OLLAMA = "OLLAMA", "Ollama"
    CUSTOM = "CUSTOM", "Custom"


class RequestType(Vocabulary):
    """The types of requests, which are the capabilities of models too."""

    CHAT = "CHAT", "Chat"
    COMPLETION = "COMPLETION", "Completion"
    EMBEDDING = "EMBEDDING", "Embedding"
    IMAGE_GENERATION = "IMAGE_GENERATION", "Image generation"
    AUDIO_TRANSCRIPTION = "AUDIO_TRANSCRIPTION", "Audio transcription"
    AUDIO_TRANSLATION = "AUDIO_TRANSLATION", "Audio translation"


class ModelStatus(Vocabulary):
    """Statuses: served, refused, served with a warning."""

    ACTIVE = "ACTIVE", "Active"
    INACTIVE = "INACTIVE", "Inactive"
    DEPRECATED = "DEPRECATED", "Deprecated"


def validate_capabilities(value: Any) -> None:
    """Refuse what is not a list of types of requests, each once."""
    validate_strings(value)
    unknown = [each for each in value if each not in RequestType.values]
    if unknown:
        raise ValidationError(RequestType.refusal(unknown[0]))
    if not value or len(set(value)) < len(value):
        raise ValidationError("Give at least one capability, and each once.")


class ModelQuerySet(NamedQuerySet["Model"]):
    """Selections of models."""

    def with_parts(self) -> ModelQuerySet:
        return self.select_related("connection")


class Model(ReferencedModel):
    """A model of a provider; its name is the id by which callers ask for it."""

    name = models.CharField(
        "model id",
        db_column="model_id",
        max_length=100,
        validators=[validate_model_id, refuse_id],
    )
    provider = EnumField(vocabulary=ModelProvider, max_length=20, default=ModelProvider.OPENAI)
    display_name = models.CharField(max_length=100, blank=True, default="")
    capabilities = CheckedJSONField(default=list, validators=[validate_capabilities])
    status = EnumField(vocabulary=ModelStatus, max_length=20, default=ModelStatus.ACTIVE)
    connection = models.ForeignKey(
        "registry.Connection",
        on_delete=models.PROTECT,
        related_name="models",
        help_text="How the provider is reached: its URL up to /v1, and its credential.",
    )
    provider_model = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The provider's own name for it; empty: the model id.",
    )
    aliases = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_aliases],
        help_text='Other ids by which callers may ask for it: ["gpt-4o", "fast"].',
    )
    max_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The most tokens that it answers with.",
    )
    token_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The most tokens of input that it takes.",
    )
    cost_per_token = models.DecimalField(
        max_digits=18,
        decimal_places=12,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="US dollars for each token, in or out, where no price says otherwise.",
    )
    rpm = models.PositiveIntegerField(
        "requests a minute",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many requests it is sent in a minute at most.",
    )
    tpm = models.PositiveIntegerField(
        "tokens a minute",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many tokens it is sent and answers with in a minute at most.",
    )
    replacement = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="What to ask for instead, where it is deprecated.",
    )
    configuration = object_field(
        help_text='Of its requests: {"defaults": {"temperature": 0}, "timeout_seconds": 120}.'
    )
    metadata = metadata_field()
    # Until then its provider wants to be left alone.
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ModelQuerySet.as_manager()

    class Meta:
        db_table = "model"
        ordering = ("name",)
        constraints = (
            enum_check("model", "status", ModelStatus),
            enum_check("model", "provider", ModelProvider),
            name_constraint("model", "A model"),
        )
        indexes = (models.Index(fields=("provider", "name"), name="model_provider_idx"),)

    @property
    def model_id(self) -> str:
        return self.name

    def is_paused(self, now: datetime) -> bool:
        """Return whether its provider wants to be left alone now."""
        return self.paused_until is not None and self.paused_until > now

    @property
    def sent_name(self) -> str:
        """The name by which the provider knows it."""
        return self.provider_model or self.name
