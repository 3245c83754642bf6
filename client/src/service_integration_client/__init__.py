"""A client for the Service Integration hub."""

from service_integration_client.asgi import registered
from service_integration_client.breaker import CircuitBreaker
from service_integration_client.client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
)
from service_integration_client.django_app import RegistersService
from service_integration_client.exceptions import (
    AuthenticationError,
    CircuitOpenError,
    ConflictError,
    InvalidStepsError,
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
from service_integration_client.health import health_response
from service_integration_client.registration import ServiceRegistration
from service_integration_client.request_ids import get_request_id, request_id
from service_integration_client.requests import REMOVE
from service_integration_client.results import WorkflowResult
from service_integration_client.shared_client import get_service_integration_client
from service_integration_client.webhook_signature import sign_webhook

__all__ = [
    "REMOVE",
    "AsyncServiceIntegrationClient",
    "AuthenticationError",
    "CircuitBreaker",
    "CircuitOpenError",
    "ConflictError",
    "InvalidStepsError",
    "MaxRetriesExceededError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RegistersService",
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
    "get_service_integration_client",
    "health_response",
    "registered",
    "request_id",
    "sign_webhook",
]
