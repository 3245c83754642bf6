"""Errors of calls to services and of discovery."""

from __future__ import annotations

from core.exceptions import IntegrationError, UseDenied


class RegistrationDenied(UseDenied):
    """Who registers or changes a service may not do that: the sentence says what it takes."""


class DiscoveryUnavailable(IntegrationError):
    """The backend that knows who is alive does not answer."""

    code = "service_unavailable"
    status_code = 503


class CallError(IntegrationError):
    """A call to a service did not give a usable answer.

    Details may carry `service`, `instance`, `action`, `upstream_status` and `retry_after` in
    seconds. One that is not `about_target` happened on the hub's own side: it says nothing of
    whether who was to be called is well.
    """

    kind = "OTHER"
    about_target = True

    @property
    def retry_after(self) -> float | None:
        return self.details.get("retry_after")

    @property
    def upstream_status(self) -> int | None:
        return self.details.get("upstream_status")


class ServiceNotFoundError(CallError):
    """Nothing is registered under that name or type, or no instance of it is known."""

    code = "service_not_found"
    status_code = 404
    permanent = True

    @property
    def problem_code(self) -> str:
        return "not_found"


class ServiceUnavailableError(CallError):
    """Refused, unresolvable, or answered 502 or 503."""

    code = "service_unavailable"
    status_code = 503
    kind = "UNAVAILABLE"


class ServiceConnectionError(ServiceUnavailableError):
    """The connection broke before an answer came."""

    kind = "CONNECTION"


class ServiceNotReachedError(ServiceConnectionError):
    """No connection could be made: nothing was sent."""


class RegistryUnreachableError(ServiceUnavailableError):
    """The hub's own database did not say where the target is: nothing was sent."""


class AddressRefusedError(CallError):
    """An address that the address policy rules out: nothing was sent."""

    code = "address_refused"
    status_code = 502
    permanent = True
    about_target = False


class ServiceTimeoutError(CallError):
    """No complete answer within the deadline."""

    code = "service_timeout"
    status_code = 504
    kind = "TIMEOUT"


class NoTimeLeftError(ServiceTimeoutError):
    """The deadline passed before anything could be sent."""

    about_target = False


class CircuitOpenError(CallError):
    """Refused without a call, because recent calls failed."""

    code = "circuit_open"
    status_code = 503
    kind = "UNAVAILABLE"


class RateLimitedError(CallError):
    """Refused without a call, because the limits of what was to be called are used up for now."""

    code = "rate_limited"
    status_code = 429
    kind = "UNAVAILABLE"


class ConnectionNotFoundError(CallError):
    """No connection has that id or name."""

    code = "not_found"
    status_code = 404
    permanent = True


class ConnectionDisabledError(CallError):
    """An operator switched the connection off: nothing was sent."""

    code = "connection_disabled"
    status_code = 503
    permanent = True


class ConnectionTypeError(CallError):
    """A connection that is not spoken to in requests: nothing was sent."""

    code = "conflict"
    status_code = 409
    permanent = True


class ServiceResponseError(CallError):
    """An answer that cannot be used: another status, not JSON, too large, or against the schema."""

    code = "service_error"
    status_code = 502
    kind = "RESPONSE"

    @property
    def permanent(self) -> bool:  # type: ignore[override]
        status = self.upstream_status
        return status is None or (status < 500 and status not in (408, 429))


class CredentialError(CallError):
    """A credential cannot be used for this call; nothing was sent."""

    code = "credential_error"
    status_code = 502
    permanent = True


class CredentialNotGrantedError(CallError):
    """Nobody who may use credentials let this call use this one; nothing was sent."""

    code = "permission_denied"
    status_code = 403
    permanent = True
    about_target = False


class TokenUnavailableError(CredentialError):
    """The token that a credential stands for could not be fetched now; nothing was sent."""

    code = "token_unavailable"
    status_code = 503
    permanent = False
    kind = "UNAVAILABLE"
