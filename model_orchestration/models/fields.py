"""Columns of amounts: money is counted in billionths of a US dollar, which are added exactly."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from core.db.json_fields import validate_strings
from core.db.names import refuse_id

NANOS = Decimal(10) ** 9
# The largest sum that a limit may be: a billion dollars.
MOST_USD = Decimal(10) ** 9

validate_model_id = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._:@-]*\Z",
    "Use letters, digits, dots, colons, dashes, underscores and @, beginning with a letter or"
    " digit. What the provider calls it goes into provider_model.",
)


def validate_aliases(value: Any) -> None:
    """Refuse what is not a list of names, none of which reads as an id."""
    validate_strings(value)
    for alias in value:
        refuse_id(alias)


def nanos_of(usd: Decimal) -> int:
    """Return an amount of US dollars in billionths, rounded up."""
    return int((usd * NANOS).to_integral_value(ROUND_CEILING))


def usd_of(nanos: int) -> Decimal:
    """Return billionths of a US dollar as an amount without zeros at its end."""
    amount = (Decimal(nanos) / NANOS).normalize()
    return amount if amount.as_tuple().exponent <= 0 else amount.quantize(Decimal(1))  # type: ignore[operator]


def cost_limit_field() -> models.DecimalField[Any, Any]:
    """Return a column for the most US dollars that may be spent; null for no limit."""
    return models.DecimalField(
        max_digits=18,
        decimal_places=9,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
    )


def count_limit_field() -> models.BigIntegerField[Any, Any]:
    """Return a column for the most of something countable; null for no limit."""
    return models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)])


def counter_field() -> models.BigIntegerField[Any, Any]:
    return models.BigIntegerField(default=0, editable=False)


def validate_percents(value: Any) -> None:
    """Refuse what is not a short list of whole percents."""
    fits = isinstance(value, list) and len(value) <= 10
    if not fits or not all(type(each) is int and 0 < each <= 100 for each in value):
        raise ValidationError("Must be a list of at most 10 whole percents from 1 to 100.")
