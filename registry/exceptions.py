"""The error tree: every error that a caller can cause has a code, an HTTP status and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self


class IntegrationError(Exception):
    """Root of the tree.

    `code` is the stable machine name, `status_code` the HTTP answer it becomes, `permanent` says
    that trying again unchanged cannot succeed. `details` are added to the problem document.
    """

    code = "service_error"
    status_code = 502
    permanent = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)

    def noting(self, sentence: str) -> Self:
        """Return the same error with one more sentence."""
        return type(self)(f"{self.message} {sentence}", **self.details)


def _rebuild(
    kind: type[IntegrationError], message: str, details: dict[str, Any]
) -> IntegrationError:
    return kind(message, **details)


class ValidationFailed(IntegrationError):
    """Input that breaks a rule; `errors` maps a field's path to sentences."""

    code = "validation_error"
    status_code = 400
    permanent = True

    def __init__(
        self, message: str, *, errors: Mapping[str, Sequence[str]] | None = None, **details: Any
    ) -> None:
        super().__init__(message, errors={k: list(v) for k, v in (errors or {}).items()}, **details)

    @property
    def errors(self) -> dict[str, list[str]]:
        return self.details["errors"]


class NotFound(IntegrationError):
    """The thing that was asked for does not exist."""

    code = "not_found"
    status_code = 404
    permanent = True


class Conflict(IntegrationError):
    """The state of the thing does not allow this."""

    code = "conflict"
    status_code = 409
    permanent = True


class PreconditionFailed(IntegrationError):
    """The thing is not as the caller last saw it, and the caller insists that it is."""

    code = "precondition_failed"
    status_code = 412
    permanent = True


class DiscoveryUnavailable(IntegrationError):
    """The backend that knows who is alive does not answer."""

    code = "service_unavailable"
    status_code = 503


class SchemaViolation(IntegrationError):
    """An input that the action's schema refuses; nothing was sent."""

    code = "schema_violation"
    status_code = 422
    permanent = True


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


class TokenUnavailableError(CredentialError):
    """The token that a credential stands for could not be fetched now; nothing was sent."""

    code = "token_unavailable"
    status_code = 503
    permanent = False
    kind = "UNAVAILABLE"


class VaultError(IntegrationError):
    """A secret cannot be stored or read: its key is missing, or it was damaged."""

    code = "vault_error"
    status_code = 503
    permanent = True


class WorkflowError(IntegrationError):
    """A workflow could not go on."""

    code = "workflow_error"
    status_code = 409
    permanent = True
