"""Who may call the API."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Value

from core.db.json_fields import CheckedJSONField, validate_strings
from core.db.models import TimestampedModel
from core.db.names import refuse_id
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.name_patterns import MOST_PATTERNS, SHAPE, is_pattern
from core.peers import is_in_networks
from core.roles import SCOPES, Role, scopes_of_role

PREFIX_LENGTH = 8
MOST_REQUESTS = 1_000_000


def validate_scopes(value: Any) -> None:
    """Refuse scopes that do not exist."""
    validate_strings(value)
    unknown = sorted(set(value) - set(SCOPES))
    if unknown:
        raise ValidationError(f"Unknown scopes {', '.join(unknown)}. Use: {', '.join(SCOPES)}.")


def validate_networks(value: Any) -> None:
    """Refuse what is not a list of networks such as 10.0.0.0/8."""
    validate_strings(value)
    for text in value:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValidationError(f"'{text}' is not a network such as 10.0.0.0/8.") from None


def validate_patterns(value: Any) -> None:
    """Refuse what is not a list of patterns of names, such as billing-*."""
    validate_strings(value)
    if len(value) > MOST_PATTERNS:
        raise ValidationError(f"There are {len(value):,}; at most {MOST_PATTERNS} are taken.")
    for text in value:
        if not is_pattern(text):
            raise ValidationError(f"'{text}' is no pattern: use {SHAPE}.")


class KeyState(Vocabulary):
    """Whether a key is taken."""

    USABLE = "USABLE", "Usable"
    EXPIRED = "EXPIRED", "Expired"
    REVOKED = "REVOKED", "Revoked"


class ApiKey(TimestampedModel):
    """A key for programs: shown once when made, kept only as the digest of a 256-bit secret."""

    name = models.CharField(max_length=100, unique=True, validators=[refuse_id])
    prefix = models.CharField(max_length=PREFIX_LENGTH, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    role = EnumField(vocabulary=Role, default=Role.VIEWER)
    scopes = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_scopes],
        help_text="Instead of the role's scopes. Empty: what the role may do.",
    )
    networks = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_networks],
        help_text="Where calls may come from, such as 10.0.0.0/8. Empty: anywhere.",
    )
    # Columns that came later have their default in the database too: code of before goes on while a
    # hub is brought up to date.
    service_names = CheckedJSONField(
        default=list,
        db_default=Value([], models.JSONField()),
        blank=True,
        validators=[validate_patterns],
        help_text="Services that it may register and change, such as billing-*. Empty: its own,"
        " and names that are free.",
    )
    service_types = CheckedJSONField(
        default=list,
        db_default=Value([], models.JSONField()),
        blank=True,
        validators=[validate_patterns],
        help_text="Types of services that it may register, such as PLANNING_SYSTEM or *. Empty: as"
        " REGISTRATION_POLICY says.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_REQUESTS)],
        help_text="More are refused with 429. Empty: as API_RATE_LIMIT says. 0: no limit.",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "api_key"
        ordering = ("name",)
        verbose_name = "API key"
        constraints = (enum_check("api_key", "role", Role),)

    def __str__(self) -> str:
        return self.name

    def issue_secret(self) -> str:
        """Give this row a fresh secret and return the whole key; the row is not saved."""
        self.prefix = secrets.token_hex(PREFIX_LENGTH // 2)
        secret = secrets.token_urlsafe(32)
        self.digest = digest_of(secret)
        return f"si_{self.prefix}_{secret}"

    def effective_scopes(self) -> frozenset[str]:
        return frozenset(self.scopes) or scopes_of_role(self.role)

    def state_at(self, now: datetime) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        has_ended = self.expires_at is not None and self.expires_at <= now
        return KeyState.EXPIRED if has_ended else KeyState.USABLE

    def is_usable(self, *, now: datetime) -> bool:
        return self.state_at(now) == KeyState.USABLE

    def allows_address(self, address: str) -> bool:
        return not self.networks or is_in_networks(address, self.networks)


def digest_of(secret: str) -> str:
    """Return the SHA-256, which is enough: the secret has 256 random bits, none to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split_key(key: str) -> tuple[str, str] | None:
    """Split `si_<prefix>_<secret>`; None when it has another form."""
    parts = key.split("_", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "si" else None
