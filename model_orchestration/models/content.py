"""What is kept of what callers say to models and are told: by project, and for how long."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from core.db.json_fields import CheckedJSONField, validate_list
from core.db.models import NamedModel, NamedQuerySet, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from model_orchestration.redaction import MOST_PATTERNS, refusal_of
from registry.models.credential import SealedModel

USUAL_RETENTION_DAYS = 7
LONGEST_RETENTION_DAYS = 3650
# The policy of projects that have none of their own.
OTHERS = "default"


class ContentKept(Vocabulary):
    """How much is kept of what is said."""

    NONE = "NONE", "Nothing"
    METADATA = "METADATA", "Sizes and parameters, no text"
    REDACTED = "REDACTED", "Text, without what patterns find"
    FULL = "FULL", "All text"


def validate_patterns(value: Any) -> None:
    """Refuse what is not a list of `{"name": word, "pattern": regular expression}`."""
    validate_list(value)
    if len(value) > MOST_PATTERNS:
        raise ValidationError(f"Give at most {MOST_PATTERNS} patterns.")
    for place, each in enumerate(value):
        if not isinstance(each, dict) or set(each) != {"name", "pattern"}:
            raise ValidationError(
                f'[{place}]: Give {{"name": "CUSTOMER", "pattern": "KD-[0-9]{{6}}"}}.'
            )
        if problem := refusal_of(each["name"], each["pattern"]):
            raise ValidationError(f"[{place}].{problem}")


class ContentPolicyQuerySet(NamedQuerySet["ContentPolicy"]):
    """Selections of content policies."""


class ContentPolicy(NamedModel):
    """What is kept of the requests of the project of its name; `default` is for all others."""

    keeps = EnumField(vocabulary=ContentKept, max_length=20, default=ContentKept.METADATA)
    retention_days = models.PositiveIntegerField(
        default=USUAL_RETENTION_DAYS,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_RETENTION_DAYS)],
        help_text="After how many days text is dropped; sooner if the record of its request is.",
    )
    patterns = CheckedJSONField(
        default=list,
        blank=True,
        validators=[validate_patterns],
        help_text="What is taken out of REDACTED text besides keys, e-mail addresses, phone,"
        ' card and IBAN numbers: [{"name": "CUSTOMER", "pattern": "KD-[0-9]{6}"}].',
    )

    objects = ContentPolicyQuerySet.as_manager()

    class Meta:
        db_table = "content_policy"
        ordering = ("name",)
        verbose_name_plural = "content policies"
        constraints = (
            enum_check("content_policy", "keeps", ContentKept),
            name_constraint("content_policy", "A content policy"),
        )


class RequestContent(SealedModel):
    """What was said in the request of the same id, sealed; dropped at `expires_at`."""

    keeps = EnumField(vocabulary=ContentKept, max_length=20)
    # How often something was taken out.
    redactions = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "request_content"
        constraints = (enum_check("request_content", "keeps", ContentKept),)
        indexes = (models.Index(fields=("expires_at",), name="request_content_expiry_idx"),)

    def __str__(self) -> str:
        return str(self.pk)
