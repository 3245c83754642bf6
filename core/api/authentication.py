"""Who calls, and whether they may: API keys, admin sessions, and networks without keys."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.http import QueryDict
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission

from core.api.caller import Caller
from core.api.known_keys import given_key, known_keys
from core.api.suspension import once
from core.models import ApiKey
from core.models.audit import ActorKind
from core.peers import is_in_networks
from core.request_rates.counter import RATE_DECISION, admit_key
from core.roles import Role, scopes_of_role, scopes_of_user


class KeyRateExceeded(exceptions.APIException):
    """The limit of a key is used up for now."""

    status_code = 429


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>` or `X-API-Key: <key>`."""

    def authenticate(self, request: Any) -> tuple[Caller, ApiKey] | None:
        meta = request.META
        text = given_key(meta.get("HTTP_AUTHORIZATION", ""), meta.get("HTTP_X_API_KEY"))
        if text is None:
            return None
        known = known_keys().find(text, meta.get("REMOTE_ADDR", ""))
        _hold_to_rate(request, known.key)
        return known.caller, known.key

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="service-integration"'


def _hold_to_rate(request: Any, key: ApiKey) -> None:
    """Count a request against the limit of its key, unless who handed it on has counted it.

    Raises:
        KeyRateExceeded: the limit is used up for now.
    """
    if RATE_DECISION in request.META:
        decision = request.META[RATE_DECISION]
    else:
        # What waits and comes by again is one request.
        decision = once(request, "rate", lambda: admit_key(str(key.pk), key.requests_per_minute))
        if decision is None:
            return
        request.META[RATE_DECISION] = decision
    if not decision.allowed:
        raise KeyRateExceeded(
            f"This key may send {decision.limit} requests a minute."
            f" Try again in {decision.reset_seconds} seconds."
        )


class AdminSessionAuthentication(SessionAuthentication):
    """A person who is logged in to the admin, with the rights of the person's groups."""

    def authenticate(self, request: Any) -> tuple[Caller, None] | None:
        found = super().authenticate(request)
        if found is None or not found[0].is_staff:
            return None
        user = found[0]
        caller = Caller(user.get_username(), scopes_of_user(user), ActorKind.USER, str(user.pk))
        return caller, None

    def enforce_csrf(self, request: Any) -> None:
        """Ask for the token in its header. Raises: PermissionDenied."""
        super().enforce_csrf(cast("Any", _WithoutForm(request)))


class _WithoutForm:
    """A request as the CSRF check sees it: the check would look for the token in the body first.

    Nobody's body is read, and nothing is said of it, before it is known what the caller may.
    """

    POST = QueryDict("")

    def __init__(self, request: Any) -> None:
        self._request_asked = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request_asked, name)


class AnonymousRoleAuthentication(BaseAuthentication):
    """Callers without a key from the networks of ANONYMOUS_API_NETWORKS have ANONYMOUS_API_ROLE."""

    def authenticate(self, request: Any) -> tuple[Caller, None] | None:
        if not settings.ANONYMOUS_API_ROLE or not settings.ANONYMOUS_API_NETWORKS:
            return None
        address = request.META.get("REMOTE_ADDR", "")
        if not is_in_networks(address, settings.ANONYMOUS_API_NETWORKS):
            return None
        role = Role.parse(settings.ANONYMOUS_API_ROLE)
        return Caller("anonymous", scopes_of_role(role)), None


class HasScope(BasePermission):
    """Asks for the scope that the view names for its action, or for the method."""

    def has_permission(self, request: Any, view: Any) -> bool:
        method = "GET" if request.method == "HEAD" else request.method
        scope = view.scopes.get(getattr(view, "action", None) or "") or view.scopes.get(method)
        if scope is None:
            # A method that the view does not have is answered 405, not 403.
            return request.method not in view.allowed_methods or request.method == "OPTIONS"
        if not request.user.is_authenticated:
            raise exceptions.NotAuthenticated(
                "Give an API key: Authorization: Bearer <key>, or X-API-Key: <key>."
            )
        if not request.user.may_any(scope):
            raise exceptions.PermissionDenied(f"This needs the scope {scope.replace('|', ' or ')}.")
        return True
