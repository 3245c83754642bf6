"""Prices of models, each from a time on: what was served before costs what it cost then."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models

from core.db.models import AppendedModel


def _price(text: str, **options: Any) -> models.DecimalField[Any, Any]:
    return models.DecimalField(
        max_digits=18,
        decimal_places=6,
        validators=[MinValueValidator(Decimal(0))],
        help_text=text,
        **{"null": True, "blank": True, **options},
    )


class ModelPrice(AppendedModel):
    """What a model costs from a time on, in US dollars; tokens by the million.

    What is not given costs what is nearest: cached input as input, reasoning as output.
    """

    model = models.ForeignKey(
        "model_orchestration.Model", on_delete=models.CASCADE, related_name="prices"
    )
    valid_from = models.DateTimeField()
    input = _price("For a million tokens of input.", null=False, default=Decimal(0))
    output = _price("For a million tokens of output.", null=False, default=Decimal(0))
    cached_input = _price("For a million tokens of input that the provider had in its cache.")
    cache_write = _price("For a million tokens of input that it puts into its cache.")
    reasoning = _price("For a million tokens of output that are reasoning.")
    per_image = _price("For an image.")
    per_second = _price("For a second of audio.")

    class Meta:
        db_table = "model_price"
        ordering = ("model", "-valid_from")
        constraints = (
            models.UniqueConstraint(
                fields=("model", "valid_from"),
                name="model_price_key",
                violation_error_message="This model has a price from that time on.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model} from {self.valid_from:%Y-%m-%d %H:%M}"
