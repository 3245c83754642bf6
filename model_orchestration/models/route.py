"""Routes: a name that callers ask for, and the models that may serve it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from core.db.json_fields import CheckedJSONField, validate_list
from core.db.models import NamedQuerySet, ReferencedModel, name_constraint
from core.db.names import refuse_id
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from model_orchestration.models.fields import validate_model_id

MOST_TARGETS = 20
MOST_ATTEMPTS = 10
LONGEST_DEADLINE = 600


class RouteStrategy(Vocabulary):
    """How the next model is chosen."""

    PRIORITY = "PRIORITY", "Priority: in the order of the list"
    WEIGHTED = "WEIGHTED", "Weighted: by chance, as the weights say"
    CHEAPEST = "CHEAPEST", "Cheapest: the lowest price first"
    FASTEST = "FASTEST", "Fastest: what answered soonest lately first"


class ErrorClass(Vocabulary):
    """What went wrong with a model, as far as it matters for what is done next."""

    INVALID = "INVALID", "The request is not valid"
    CONTEXT = "CONTEXT", "The input is too long"
    CONTENT = "CONTENT", "The content filter refused it"
    CREDENTIAL = "CREDENTIAL", "The provider refused our credential"
    NOT_FOUND = "NOT_FOUND", "The provider does not have the model"
    QUOTA = "QUOTA", "Our account at the provider is used up"
    RATE = "RATE", "Too many requests"
    TIMEOUT = "TIMEOUT", "No answer in time"
    UNAVAILABLE = "UNAVAILABLE", "The provider does not work"


# After which a next model may do better. CONTENT only where a route asks for it.
USUAL_FALLBACKS = (
    ErrorClass.CONTEXT, ErrorClass.CREDENTIAL, ErrorClass.NOT_FOUND, ErrorClass.QUOTA,
    ErrorClass.RATE, ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE,
)  # fmt: skip


def usual_fallbacks() -> list[str]:
    return [each.value for each in USUAL_FALLBACKS]


def validate_targets(value: Any) -> None:
    """Refuse what is not a list of `{"model": id, "weight": number}`, each model once."""
    validate_list(value)
    if not 0 < len(value) <= MOST_TARGETS:
        raise ValidationError(f"Give 1 to {MOST_TARGETS} models.")
    for place, target in enumerate(value):
        if not isinstance(target, dict) or set(target) - {"model", "weight"}:
            raise ValidationError(f'[{place}]: Give {{"model": id, "weight": number}}.')
        if not isinstance(target.get("model"), str) or not target["model"]:
            raise ValidationError(f"[{place}].model: Give the id of a model.")
        weight = target.get("weight", 1)
        if type(weight) is not int or not 0 <= weight <= 1000:
            raise ValidationError(f"[{place}].weight: Give a whole number from 0 to 1000.")
    if len({target["model"].lower() for target in value}) < len(value):
        raise ValidationError("A model is there twice.")


def validate_fallbacks(value: Any) -> None:
    """Refuse what is not a list of classes of errors."""
    validate_list(value)
    for each in value:
        if each not in ErrorClass.values:
            raise ValidationError(ErrorClass.refusal(each))


class RouteQuerySet(NamedQuerySet["ModelRoute"]):
    """Selections of routes."""


class ModelRoute(ReferencedModel):
    """A name that callers ask for as they ask for a model, and the models that may serve it."""

    name = models.CharField(max_length=100, validators=[validate_model_id, refuse_id])
    strategy = EnumField(vocabulary=RouteStrategy, max_length=20, default=RouteStrategy.PRIORITY)
    targets = CheckedJSONField(
        default=list,
        validators=[validate_targets],
        help_text='The models: [{"model": "gpt-4o", "weight": 3}, {"model": "local"}].',
    )
    fallback_on = CheckedJSONField(
        default=usual_fallbacks,
        blank=True,
        validators=[validate_fallbacks],
        help_text="The classes of errors after which the next model is asked.",
    )
    max_attempts = models.PositiveSmallIntegerField(
        default=4, validators=[MinValueValidator(1), MaxValueValidator(MOST_ATTEMPTS)]
    )
    deadline_seconds = models.FloatField(
        default=120, validators=[MinValueValidator(0.1), MaxValueValidator(LONGEST_DEADLINE)]
    )

    objects = RouteQuerySet.as_manager()

    class Meta:
        db_table = "model_route"
        ordering = ("name",)
        constraints = (
            enum_check("model_route", "strategy", RouteStrategy),
            name_constraint("model_route", "A route"),
        )
