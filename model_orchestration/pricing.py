"""What a request costs, and the most that it can cost (pure), in billionths of a US dollar."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

# A price for a million tokens, in dollars, is so many billionths for each.
_NANOS_OF_A_MILLIONTH = Decimal(1000)
_NANOS = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request used.

    `input_tokens` are all of the input, with those that were read from and written to a cache;
    `output_tokens` all of the output, with those of reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    audio_seconds: float = 0.0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs in US dollars; tokens by the million."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    per_image: Decimal | None = None
    per_second: Decimal | None = None

    @classmethod
    def per_token(cls, cost: Decimal) -> Price:
        """Return the price of a model of which each token costs the same."""
        million = cost * 1_000_000
        # What is free is free in all it does.
        other = None if cost else Decimal(0)
        return cls(million, million, per_image=other, per_second=other)

    def covers(self, usage: Usage) -> bool:
        """Return whether it says what a usage costs.

        Nobody knows how many tokens an image will be: it has a price of its own, or none. A
        recording is charged by the second or by its tokens.
        """
        if usage.images and self.per_image is None:
            return False
        has_tokens = bool(self.input or self.output)
        return not usage.audio_seconds or self.per_second is not None or has_tokens

    @property
    def dearest_input(self) -> Decimal:
        prices = (self.input, self.cached_input, self.cache_write)
        return max(price for price in prices if price is not None)

    @property
    def dearest_output(self) -> Decimal:
        return max(self.output, self.reasoning or Decimal(0))


def cost_of(price: Price, usage: Usage) -> int:
    """Return what a usage costs, to the nearest billionth."""
    amount = _amount_of(price, usage)
    return int(amount.to_integral_value(ROUND_HALF_EVEN))


def bound_of(price: Price, most: Usage) -> int:
    """Return the most that something can cost which uses at most that, rounded up."""
    dearest = Price(
        price.dearest_input,
        price.dearest_output,
        per_image=price.per_image,
        per_second=price.per_second,
    )
    return int(_amount_of(dearest, most).to_integral_value(ROUND_CEILING))


def _amount_of(price: Price, usage: Usage) -> Decimal:
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    fresh = max(usage.input_tokens - cached - written, 0)
    reasoning = usage.reasoning_tokens
    plain = max(usage.output_tokens - reasoning, 0)
    tokens = (
        fresh * price.input
        + cached * _or(price.cached_input, price.input)
        + written * _or(price.cache_write, price.input)
        + plain * price.output
        + reasoning * _or(price.reasoning, price.output)
    ) * _NANOS_OF_A_MILLIONTH
    images = usage.images * (price.per_image or Decimal(0))
    audio = Decimal(str(usage.audio_seconds)) * (price.per_second or Decimal(0))
    return tokens + (images + audio) * _NANOS


def _or(price: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if price is None else price
