"""What the API views and serializers of every app share."""

from __future__ import annotations

import functools
from typing import Any

from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from core.api.idempotency import do_once, read_key
from core.api.list_items import read_include, represent_items, without_columns
from core.api.preconditions import check_precondition, tag_content
from core.api.serializers import AnswerSerializer, StrictSerializer
from core.audit import Actor, act_as

ANY_REFERENCE = r"[^/]+"


# Why a change is made, for the audit trail; bodies that have a `reason` of their own say it there.
REASON_HEADER = "X-Request-Reason"


class ResourceViewSet(GenericViewSet[Any]):
    """A resource whose `{id}` is its id or its name.

    `scopes` maps an action (or a method) to the scope it needs; several may be joined by `|`.

    A write that carries an `Idempotency-Key` is done once. Actions in `calls_out` call a service
    and may hold no transaction meanwhile; those in `own_keys` see to the key themselves, or do the
    same however often they are done.
    """

    lookup_value_regex = ANY_REFERENCE
    scopes: dict[str, str] = {}
    # What the list that is answered has as its items.
    listed: type[AnswerSerializer] | None = None
    # The methods that the OpenAPI document shows of a route; all unless the route says so.
    described_methods: tuple[str, ...] = ()

    calls_out: frozenset[str] = frozenset()
    own_keys: frozenset[str] = frozenset()

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        act_as(self.audited)
        name = str(request.method).lower()
        if self.takes_key and read_key(request):
            handler = getattr(self, name)
            setattr(self, name, functools.partial(self._do_once, handler))

    @property
    def takes_key(self) -> bool:
        """Whether what is asked for is a write that this class does once per key."""
        is_write = self.request.method in ("POST", "PUT", "PATCH", "DELETE")
        only_reads = self.scopes.get(self.action or "", "").endswith(":read")
        return is_write and not only_reads and self.action not in self.own_keys

    def _do_once(self, handler: Any, request: Any, *args: Any, **kwargs: Any) -> Response:
        return do_once(
            request,
            lambda: handler(request, *args, **kwargs),
            caller=self.caller.identity,
            calls_out=self.action in self.calls_out,
        )

    @property
    def actor(self) -> str:
        """Who is calling, for the record."""
        return str(self.caller.name)

    @property
    def caller(self) -> Any:
        """Who asks: what the authentication made of the request, not a user of Django's."""
        return self.request.user

    @property
    def audited(self) -> Actor:
        """Who is calling, for the audit trail."""
        header = self.request.headers.get(REASON_HEADER, "")
        reason = header.encode("latin-1", "replace").decode("utf-8", "replace").replace("\0", "")
        return Actor(kind=self.caller.kind, id=self.caller.id, name=self.actor, reason=reason)

    @property
    def may_use_credentials(self) -> bool:
        """Whether the caller may let what it changes use credentials."""
        return bool(self.caller.may("credentials:use"))

    @property
    def may_operate(self) -> bool:
        """Whether the caller may start versions of workflows that are not the active ones."""
        return bool(self.caller.may("workflows:operate"))

    def only_own(self, scope: str) -> bool:
        """Return whether the caller may change only what it owns: it lacks the wider scope."""
        return not self.caller.may(scope)

    def read(self, serializer: type[StrictSerializer], **options: Any) -> dict[str, Any]:
        """Return the checked body of this request."""
        reader = serializer(
            data=self.request.data, context=self.get_serializer_context(), **options
        )
        reader.is_valid(raise_exception=True)
        return reader.validated_data

    def answer_page(
        self, rows: Any, serializer: type[AnswerSerializer], **context: Any
    ) -> Response:
        """Return the page of a list that the query asks for, filtered and ordered as it says."""
        self.listed = serializer
        included = read_include(self.request.query_params, serializer)
        filtered = self.filter_queryset(rows)
        page = self.paginate_queryset(without_columns(filtered, serializer, included))
        assert page is not None
        shown = {**self.get_serializer_context(), **context}
        items = represent_items(page, serializer, included=included, context=shown)
        return self.get_paginated_response(items)

    def check_precondition(self, row: Any) -> bool:
        """Hold the conditions of this change against the row; see `check_precondition`."""
        return check_precondition(self.request, row)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        # Not where an answer is given again and again, as to heartbeats: its version is enough.
        if "ETag" in response.headers and self.action not in self.own_keys:
            response.add_post_render_callback(tag_content(request))
        return response
