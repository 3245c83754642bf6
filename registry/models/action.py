"""Actions: what a service can do, and the shapes of what it takes and answers."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from core.db.json_fields import CheckedJSONField, grant_field, validate_object
from core.db.models import TimestampedModel
from core.db.names import validate_action_name
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.json.schema import check_schema
from core.unknown_fields import UnknownFields
from registry.models.service import Service
from registry.policies.request_paths import LEAVES_SENTENCE, check_path, leaves_base

validate_path = RegexValidator(
    r"\A/[^\s\x00-\x1f\x7f?#\\]*\Z",
    "Must begin with / and have no blanks, query or fragment, such as /projects/{project_id}.",
)


def check_path_column(path: str) -> None:
    """Refuse a `path` that a row would be called at, and that leads elsewhere than below its base.

    Raises:
        ValidationError: of the field `path`.
    """
    if path and leaves_base(path):
        raise ValidationError({"path": LEAVES_SENTENCE})


_REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/.*)\Z")


def validate_service_action(value: str) -> None:
    """Refuse what is neither the name of an action nor a method and a path."""
    request = _REQUEST.match(value)
    if request is None:
        validate_action_name(value)
        return
    try:
        check_path(request[2])
    except ValueError as error:
        raise ValidationError(str(error)) from None


class HttpMethod(Vocabulary):
    """The HTTP methods of actions."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


def validate_schema(value: Any) -> None:
    """Refuse what is not a JSON Schema."""
    validate_object(value)
    problem = check_schema(value)
    if problem:
        raise ValidationError(f"Not a valid JSON Schema: {problem}")


class ServiceAction(TimestampedModel):
    """One thing that a service can do, and the shape of what it takes and answers."""

    is_part = True  # it goes with its service

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="actions")
    name = models.CharField(max_length=100, validators=[validate_action_name])
    description = models.TextField(blank=True, default="", max_length=5000)
    method = EnumField(vocabulary=HttpMethod, max_length=20, default=HttpMethod.POST)
    path = models.CharField(max_length=500, blank=True, default="", validators=[validate_path])
    input_schema = CheckedJSONField(default=dict, blank=True, validators=[validate_schema])
    output_schema = CheckedJSONField(default=dict, blank=True, validators=[validate_schema])
    timeout_seconds = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.1), MaxValueValidator(3600)]
    )
    idempotent = models.BooleanField(
        default=True,
        help_text="May be sent again when it is not known whether the first call arrived.",
    )
    # Empty: the schema itself says whether other fields may be there.
    unknown_fields = EnumField(
        vocabulary=UnknownFields,
        max_length=20,
        null=True,
        blank=True,
        default=None,
        help_text="What happens to fields that the input schema does not name.",
    )
    credential_grant = grant_field()

    class Meta:
        db_table = "service_action"
        ordering = ("service", "name")
        constraints = (
            enum_check("service_action", "method", HttpMethod),
            enum_check("service_action", "unknown_fields", UnknownFields),
            models.UniqueConstraint(
                fields=("service", "name"), name="service_action_service_name_key"
            ),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        check_path_column(self.path)

    @property
    def whole_name(self) -> str:
        """Its name with that of its service, which alone says which it is."""
        return f"{self.service.name}: {self.name}"
