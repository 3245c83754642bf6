"""The error tree: every error that a caller can cause has a code, an HTTP status and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from django.core.exceptions import PermissionDenied


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

    @property
    def problem_code(self) -> str:
        """The `code` of the problem document that answers a request with this error."""
        return self.code

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

    @classmethod
    def at(cls, path: str, sentence: str) -> Self:
        """Return the refusal of what is at one path."""
        return cls.by_path({path: [sentence]})

    @classmethod
    def by_path(cls, errors: Mapping[str, Sequence[str]]) -> Self:
        """Return the refusal of several fields, whose message is the first."""
        path, sentences = next(iter(errors.items()))
        return cls(f"{path}: {sentences[0]}", errors=errors)

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


class SchemaViolation(IntegrationError):
    """An input that the action's schema refuses; nothing was sent."""

    code = "schema_violation"
    status_code = 422
    permanent = True


class VaultError(IntegrationError):
    """A secret cannot be stored or read: its key is missing, or it was damaged."""

    code = "vault_error"
    status_code = 503
    permanent = True


class UseDenied(PermissionDenied):
    """The caller may do this, but not with what it would use then."""
