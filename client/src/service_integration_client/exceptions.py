"""Every error that the client raises: one tree, all of it below `ServiceIntegrationError`."""

from __future__ import annotations

from typing import Any

HUB = "service-integration"


class ServiceIntegrationError(Exception):
    """Something went wrong with a call to the hub.

    `code` is the hub's name for it (``not_found``), `status_code` the HTTP status; both are None
    when no answer came. `request_id` finds the call in the hub's log.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status_code = status_code
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.message, self.__dict__)


def _restored(
    kind: type[ServiceIntegrationError], message: str, state: dict[str, Any]
) -> ServiceIntegrationError:
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class ServiceUnavailableError(ServiceIntegrationError):
    """The hub, or the service behind it, cannot be reached now. The client retries this one.

    `retry_after` is how many seconds the answer asked to wait. `may_have_happened` says that the
    request went out and its answer was lost.
    """

    def __init__(
        self,
        message: str,
        *,
        service_name: str = HUB,
        retry_after: float | None = None,
        may_have_happened: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.service_name = service_name
        self.retry_after = retry_after
        self.may_have_happened = may_have_happened


class CircuitOpenError(ServiceUnavailableError):
    """Refused in this process without a connection, as the calls before failed.

    `retry_after` is how many seconds the circuit breaker stays open.
    """


class RequestTimeoutError(ServiceIntegrationError, TimeoutError):
    """No answer came in time, from the hub or from the service behind it."""


class ServiceCallError(ServiceIntegrationError):
    """The hub reached the service, and the service answered with an error."""

    def __init__(self, message: str, *, service_name: str = HUB, **details: Any) -> None:
        super().__init__(message, **details)
        self.service_name = service_name


class ResourceNotFoundError(ServiceIntegrationError):
    """There is no such service, workflow or execution."""

    def __init__(
        self,
        message: str,
        *,
        resource_type: str | None = None,
        resource_id: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.resource_type = resource_type
        self.resource_id = resource_id


class ValidationError(ServiceIntegrationError):
    """The hub refused what was sent. `validation_errors` maps each field's path to sentences."""

    def __init__(
        self, message: str, *, validation_errors: dict[str, list[str]] | None = None, **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.validation_errors = validation_errors or {}


class InvalidStepsError(ValidationError, ValueError):
    """Steps that no workflow may have: a service or action that does not exist, or another fault.

    Both a `ValidationError` and a `ValueError`.
    """


class AuthenticationError(ServiceIntegrationError):
    """The API key is missing, unknown, expired or revoked."""


class PermissionDeniedError(ServiceIntegrationError):
    """The API key is valid, and its role may not do this."""


class ConflictError(ServiceIntegrationError):
    """The state of the resource does not allow this."""


class RateLimitedError(ServiceIntegrationError):
    """Too many calls; `retry_after` is how many seconds to wait."""

    def __init__(self, message: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class UnexpectedAnswerError(ServiceIntegrationError):
    """The answer is not one that a hub gives; often the base URL leads somewhere else."""


class MaxRetriesExceededError(ServiceIntegrationError):
    """The hub stayed unavailable through every retry. `last_error` is the last of them.

    `may_have_happened` says that the answer to one of the `attempts` was lost on its way.
    """

    def __init__(
        self,
        message: str,
        *,
        attempts: int,
        last_error: ServiceUnavailableError,
        may_have_happened: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.attempts = attempts
        self.last_error = last_error
        self.may_have_happened = may_have_happened


class WorkflowExecutionError(ServiceIntegrationError):
    """An execution ended otherwise than COMPLETED. `step` is the id of the step that failed."""

    def __init__(
        self,
        message: str,
        *,
        execution: dict[str, Any] | None = None,
        step: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.execution = execution or {}
        self.step = step

    @property
    def execution_id(self) -> str | None:
        return self.execution.get("execution_id") or self.execution.get("id")

    @property
    def status(self) -> str | None:
        return self.execution.get("status")
