"""The tables of the registry: services, connections, credentials, integrations and their states."""

from registry.models.action import HttpMethod, ServiceAction
from registry.models.alias import ServiceAlias
from registry.models.call_minute import CallMinute
from registry.models.change import RegistryChange, RegistryChangeKind
from registry.models.circuit import CircuitBreakerState, CircuitState
from registry.models.connection import (
    Connection,
    ConnectionDriver,
    ConnectionStatus,
    ConnectionType,
)
from registry.models.credential import (
    Credential,
    CredentialEvent,
    CredentialEventKind,
    CredentialToken,
    CredentialType,
)
from registry.models.discovery import DiscoveryState, ObservationGap
from registry.models.instance import ServiceInstance
from registry.models.integration import (
    EXECUTABLE,
    Integration,
    IntegrationExecution,
    IntegrationOutcome,
    IntegrationStatus,
    IntegrationType,
    TargetKind,
)
from registry.models.limits import CallRate, CallSeat
from registry.models.service import (
    ALIVE,
    HEALTHY,
    Criticality,
    Service,
    ServiceStatus,
    ServiceType,
)

__all__ = [
    "ALIVE",
    "EXECUTABLE",
    "HEALTHY",
    "CallMinute",
    "CallRate",
    "CallSeat",
    "CircuitBreakerState",
    "CircuitState",
    "Connection",
    "ConnectionDriver",
    "ConnectionStatus",
    "ConnectionType",
    "Credential",
    "CredentialEvent",
    "CredentialEventKind",
    "CredentialToken",
    "CredentialType",
    "Criticality",
    "DiscoveryState",
    "HttpMethod",
    "Integration",
    "IntegrationExecution",
    "IntegrationOutcome",
    "IntegrationStatus",
    "IntegrationType",
    "ObservationGap",
    "RegistryChange",
    "RegistryChangeKind",
    "Service",
    "ServiceAction",
    "ServiceAlias",
    "ServiceInstance",
    "ServiceStatus",
    "ServiceType",
    "TargetKind",
]
