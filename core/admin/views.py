"""Views of an admin beside Django's own, declared above their methods.

@own_view("<uuid:pk>/cancel/", name="bulk_cancel", methods=["POST"], permissions=["control"])
def cancel_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

View = Callable[..., HttpResponse]


def own_view(
    route: str,
    *,
    name: str,
    permissions: Sequence[str] = (),
    methods: Sequence[str] = ("GET", "POST"),
    checks_login: bool = False,
) -> Callable[[View], View]:
    """Make a method a view at a route below the list of its admin, reversed as `admin:<name>`.

    Each of `permissions` is asked of the admin's `has_<permission>_permission`. A view that
    `checks_login` itself is not led to the login page: a poll must learn that the session ended.
    """

    def declare(view: View) -> View:
        @functools.wraps(view)
        def permitted(admin: Any, request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if not all(getattr(admin, f"has_{each}_permission")(request) for each in permissions):
                raise PermissionDenied
            return view(admin, request, **kwargs)

        def pattern_for(admin: Any) -> URLPattern:
            served = require_http_methods(methods)(functools.partial(permitted, admin))
            return path(
                route, served if checks_login else admin.admin_site.admin_view(served), name=name
            )

        permitted.pattern_for = pattern_for  # type: ignore[attr-defined]
        return permitted

    return declare


class OwnViewsMixin:
    """Serves the methods of an admin that are declared as views of its own."""

    def get_urls(self) -> list[URLPattern]:
        members = (member for _name, member in inspect.getmembers(type(self)))
        own = [each.pattern_for(self) for each in members if hasattr(each, "pattern_for")]
        return [*own, *super().get_urls()]  # type: ignore[misc]
