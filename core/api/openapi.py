"""How the OpenAPI document is made."""

from __future__ import annotations

from typing import Any

from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from core.api.errors import CONTENT_TYPE
from core.api.fields import AnyField
from core.api.list_items import CUT, INCLUDE, LISTED, in_list
from core.api.serializers import AnswerSerializer

_ON_COLLECTION = ("list", "create")


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """API keys in the document: in either of two headers."""

    target_class = "core.api.authentication.ApiKeyAuthentication"
    name = ["BearerKey", "HeaderKey"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]


class SessionScheme(OpenApiAuthenticationExtension):
    """Admin sessions in the document."""

    target_class = "core.api.authentication.AdminSessionAuthentication"
    name = "AdminSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class AnonymousScheme(OpenApiAuthenticationExtension):
    """Callers who need no key are not in the document: it cannot say which networks they are in."""

    target_class = "core.api.authentication.AnonymousRoleAuthentication"
    name: list[str] = []

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return []

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return []


class StrictFilterExtension(DjangoFilterExtension):
    """The filters of a list, and what it may be ordered by."""

    target_class = "core.api.filters.StrictFilterBackend"
    priority = 1

    def get_schema_operation_parameters(
        self, auto_schema: Any, *args: Any, **kwargs: Any
    ) -> list[dict[str, Any]]:
        parameters = super().get_schema_operation_parameters(auto_schema, *args, **kwargs)
        fields = getattr(auto_schema.view, "ordering_fields", None)
        if not fields:
            return parameters
        ordering = {
            "name": "ordering",
            "in": "query",
            "required": False,
            "description": f"One of {', '.join(fields)}; a dash before it turns it round.",
            "schema": {"type": "string"},
        }
        return [*parameters, ordering]


class StrictSerializerExtension(OpenApiSerializerExtension):
    """Bodies: the other names of their fields are in the document, and nothing else is taken."""

    target_class = "core.api.serializers.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        properties = schema.setdefault("properties", {})
        for other, name in self.target.other_names.items():
            properties[other] = {**properties[name], "description": f"Another name of `{name}`."}
        return {**schema, "additionalProperties": False}


class AnswerSerializerExtension(OpenApiSerializerExtension):
    """Answers: every field that is not optional is always there."""

    target_class = "core.api.serializers.AnswerSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        optional = {
            name
            for name, field in self.target.fields.items()
            if isinstance(field, AnyField) and not field.required
        }
        if self.target.is_listed:
            optional |= {*self.target.left_out, *self.target.large, CUT}
            schema["properties"][CUT] = _CUT_SCHEMA
        return {**schema, "required": sorted(set(schema["properties"]) - optional)}


_CUT_SCHEMA = {
    "type": "object",
    "description": "What was cut, as the list would be larger than 2 MB, with the bytes it has.",
    "required": ["members", "whole_at"],
    "properties": {
        "members": {"type": "object", "additionalProperties": {"type": "integer"}},
        "whole_at": {"type": "string", "description": "The path that answers the item whole."},
    },
}


class ProblemSerializer(serializers.Serializer[Any]):
    """Every error (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField(help_text="Repeats `detail`.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        help_text="From a field's path, such as steps[2].next, to sentences.",
    )
    request_id = serializers.CharField()


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key does it once, and is answered the same for a day.",
)


def _include_parameter(names: tuple[str, ...]) -> dict[str, Any]:
    words = f"Members that are left out otherwise, by commas: {', '.join(names)}."
    return {
        "name": INCLUDE,
        "in": "query",
        "required": False,
        "description": words,
        "schema": {"type": "array", "items": {"type": "string", "enum": list(names)}},
        "explode": False,
        "style": "form",
    }


class HubSchema(AutoSchema):
    """Operations by the first word of their path, with the scope they need and their errors."""

    def get_tags(self) -> list[str]:
        return [self.path.strip("/").split("/")[0] or "hub"]

    def is_excluded(self) -> bool:
        described = getattr(self.view, "described_methods", ())
        return bool(described and self.method not in described) or super().is_excluded()

    def get_operation_id(self) -> str:
        """Return the resource and the action: `workflows_execute`; a view is named by its path."""
        action = getattr(self.view, "action", None)
        if not action:
            return super().get_operation_id()
        resource = self.path.partition("{")[0].strip("/").split("/")
        if "{" not in self.path and action not in _ON_COLLECTION:
            resource = resource[:-1]
        return "_".join([*resource, action])

    def get_summary(self) -> str:
        """Return the first sentence of what the method says of itself."""
        return str(self.get_description()).split("\n\n")[0].replace("\n", " ").rstrip(".")

    def get_override_parameters(self) -> list[Any]:
        """Return the header of the key with writes that are done once per key."""
        return [IDEMPOTENCY_KEY] if getattr(self.view, "takes_key", False) else []

    def get_response_serializers(self) -> Any:
        """Describe the items of a list as they are in lists."""
        shown = super().get_response_serializers()
        is_list = getattr(self.view, "action", None) == "list"
        return in_list(type(shown)) if is_list and isinstance(shown, AnswerSerializer) else shown

    def get_paginated_name(self, serializer_name: str) -> str:
        return super().get_paginated_name(serializer_name.removeprefix(LISTED))

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        item = getattr(self.get_response_serializers(), "child", None)
        if left_out := getattr(item, "left_out", ()):
            operation.setdefault("parameters", []).append(_include_parameter(left_out))
        scopes = getattr(self.view, "scopes", {})
        scope = scopes.get(getattr(self.view, "action", None) or "") or scopes.get(self.method)
        if scope:
            needs = f"Needs the scope {' or '.join(f'`{name}`' for name in scope.split('|'))}."
            operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()
        problem = self.resolve_serializer(ProblemSerializer, "response").ref
        operation["responses"]["default"] = {
            "description": "What went wrong.",
            "content": {CONTENT_TYPE: {"schema": problem}},
        }
        return operation
