"""What exists and how to reach it."""

from registry.models.access import ApiKey
from registry.models.circuit import CircuitBreakerState, CircuitState
from registry.models.service import (
    Criticality,
    HttpMethod,
    RegistryChange,
    RegistryChangeKind,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
    ServiceType,
)

__all__ = [
    "ApiKey",
    "CircuitBreakerState",
    "CircuitState",
    "Criticality",
    "HttpMethod",
    "RegistryChange",
    "RegistryChangeKind",
    "Service",
    "ServiceAction",
    "ServiceInstance",
    "ServiceStatus",
    "ServiceType",
]
