"""A client for the Service Integration hub."""

from service_integration_client.client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
)
from service_integration_client.exceptions import (
    AuthenticationError,
    ConflictError,
    MaxRetriesExceededError,
    PermissionDeniedError,
    RateLimitedError,
    RequestTimeoutError,
    ResourceNotFoundError,
    ServiceCallError,
    ServiceIntegrationError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
    ValidationError,
    WorkflowExecutionError,
)
from service_integration_client.registration import ServiceRegistration
from service_integration_client.request_ids import get_request_id, request_id
from service_integration_client.results import WorkflowResult

__all__ = [
    "AsyncServiceIntegrationClient",
    "AuthenticationError",
    "ConflictError",
    "MaxRetriesExceededError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ResourceNotFoundError",
    "ServiceCallError",
    "ServiceIntegrationClient",
    "ServiceIntegrationError",
    "ServiceRegistration",
    "ServiceUnavailableError",
    "SyncServiceIntegrationClient",
    "UnexpectedAnswerError",
    "ValidationError",
    "WorkflowExecutionError",
    "WorkflowResult",
    "get_request_id",
    "request_id",
]
