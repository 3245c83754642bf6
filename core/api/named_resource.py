"""Creates, reads, changes and deletes rows that are found by their id or their name."""

from __future__ import annotations

from typing import Any

from drf_spectacular.plumbing import get_doc
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from core.api.openapi import HubSchema
from core.api.preconditions import etag_of
from core.api.serializers import AnswerSerializer, StrictSerializer, represent
from core.api.viewsets import ResourceViewSet

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of what was read: 412 if changed.",
)
FORCE = OpenApiParameter(
    "force", bool, description="Delete it though something uses it, which then fails."
)
GRANT = OpenApiParameter(
    "grant",
    bool,
    description="Let what calls it already use the credential that is linked.",
)
# The hook in which a class says what an operation does, and does it.
_HOOKS = {
    "list": "get_rows",
    "retrieve": "find",
    "create": "perform_create",
    "update": "perform_update",
    "partial_update": "perform_update",
    "destroy": "perform_destroy",
}
_READS = ("list", "retrieve")
_CHANGES = ("update", "partial_update")
_WRITES = ("create", *_CHANGES, "destroy")


class NamedResourceSchema(HubSchema):
    """Operations in the words of the hooks that they call, with the bodies that they take."""

    view: Any

    def get_description(self) -> str:  # type: ignore[override]
        action = self.view.action
        return get_doc(getattr(self.view, action)) or get_doc(getattr(self.view, _HOOKS[action]))

    def get_request_serializer(self) -> Any:
        if self.view.action == "create":
            return self.view.input_class
        if self.view.action in _CHANGES:
            return self.view.patch_class
        return super().get_request_serializer()

    def get_override_parameters(self) -> list[Any]:
        parameters = super().get_override_parameters()
        if self.view.action in (*_CHANGES, "destroy"):
            parameters.append(IF_MATCH)
        if self.view.action == "destroy" and self.view.takes_force:
            parameters.append(FORCE)
        if self.view.action in ("create", *_CHANGES) and self.view.takes_grant:
            parameters.append(GRANT)
        return parameters


class NamedResourceViewSet(ResourceViewSet):
    """The operations on a named resource, over the hooks of its class.

    The docstrings of the hooks are the words of the API's document. `scopes` of a class are those
    of its other actions.
    """

    schema = NamedResourceSchema()
    serializer_class: type[AnswerSerializer]
    read_scope: str
    write_scope: str
    input_class: type[StrictSerializer]
    patch_class: type[StrictSerializer]
    # Whether `?force=true` deletes what is in use.
    takes_force = False
    # Whether `?grant=true` lets what calls a row use the credential that is linked to it.
    takes_grant = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        reads = dict.fromkeys(_READS, cls.read_scope)
        cls.scopes = {**reads, **dict.fromkeys(_WRITES, cls.write_scope), **cls.scopes}

    # What a class has to say

    def get_rows(self) -> Any:
        """The rows of the list, by name unless ordered otherwise."""
        raise NotImplementedError

    def find(self) -> Any:
        """The row that the path names. Raises: NotFound."""
        raise NotImplementedError

    def find_to_write(self) -> Any:
        """The same, if the caller may change it. Raises: NotFound, PermissionDenied."""
        return self.find()

    def perform_create(self, fields: dict[str, Any]) -> Any:
        """Store a new row and return it as it is answered."""
        raise NotImplementedError

    def perform_update(self, row: Any, fields: dict[str, Any], *, if_unchanged: bool) -> Any:
        """Change what is given and return the row; refuse with `if_unchanged` what changed."""
        raise NotImplementedError

    def perform_destroy(self, row: Any, *, if_unchanged: bool) -> None:
        """Delete the row; refuse with `if_unchanged` what changed."""
        raise NotImplementedError

    # What all have in common

    def answer(self, row: Any, status: int = 200) -> Response:
        body = represent(self.serializer_class, row)
        return Response(body, status=status, headers={"ETag": etag_of(row)})

    def list(self, request: Any) -> Response:
        return self.answer_page(self.get_rows(), self.serializer_class)

    def create(self, request: Any) -> Response:
        return self.answer(self.perform_create(self.read(self.input_class)), 201)

    def retrieve(self, request: Any, pk: str) -> Response:
        return self.answer(self.find())

    def update(self, request: Any, pk: str) -> Response:
        row = self.find_to_write()
        if_unchanged = self.check_precondition(row)
        fields = self.read(self.patch_class)
        return self.answer(self.perform_update(row, fields, if_unchanged=if_unchanged))

    def partial_update(self, request: Any, pk: str) -> Response:
        return self.update(request, pk)

    def destroy(self, request: Any, pk: str) -> Response:
        row = self.find_to_write()
        self.perform_destroy(row, if_unchanged=self.check_precondition(row))
        return Response(status=204)

    @property
    def is_forced(self) -> bool:
        """Whether `?force=true` is there. Raises: as of `_flag`."""
        return self._flag("force")

    @property
    def is_granting(self) -> bool:
        """Whether `?grant=true` is there. Raises: as of `_flag`."""
        return self._flag("grant")

    def _flag(self, name: str) -> bool:
        """Return whether a parameter of the query says true.

        Raises:
            ValidationError: it says something else than true or false.
        """
        text = self.request.query_params.get(name, "false").lower()
        if text not in ("true", "false"):
            raise ValidationError({name: ["Use true or false."]})
        return bool(text == "true")
