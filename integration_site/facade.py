"""Gives programs in the hub's process one entry to all of its apps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.mediator import RequestMediator, mediator
from core.models import LegacyCall
from monitoring.hub_health import (
    Check,
    check_readiness,
    describe_circuits,
    describe_services,
    overall_status,
)
from registry import services as registry_services
from registry.calls.blocking_client import call_service
from registry.calls.client import CallResult
from registry.calls.headers import call_headers
from registry.calls.targets.resolver import CallTarget
from registry.discovery.base import Criteria, ServiceDiscoveryStrategy, get_discovery
from registry.models import Service
from registry.policies.registering import Registrant
from registry.services import Registered, Registration
from workflows import services as workflow_services
from workflows.models import ExecutionStatus, Worker, WorkflowExecution
from workflows.services import Start


class SystemIntegrationFacade:
    """The hub, for programs in its process (docs/embedding.md) and for views that span apps."""

    def __init__(
        self,
        *,
        discovery: ServiceDiscoveryStrategy | None = None,
        requests: RequestMediator = mediator,
    ) -> None:
        self._discovery = discovery or get_discovery()
        self._requests = requests

    def register_service(self, registration: Registration, *, actor: str = "") -> Registered:
        """Register a service or refresh it. Raises: ValidationFailed."""
        return registry_services.register_service(registration, registrant=Registrant(name=actor))

    def find_services(self, criteria: Criteria | None = None) -> list[Service]:
        """Return the healthy services that meet the criteria."""
        return self._discovery.find(criteria or Criteria())

    def execute_action(
        self,
        service: str,
        action: str,
        document: Mapping[str, Any],
        *,
        context: Mapping[str, Any] | None = None,
    ) -> CallResult:
        """Call an action of a service.

        Raises:
            SchemaViolation: the document does not fit the action.
            CallError: no usable answer came.
        """
        target = CallTarget("service", service)
        return call_service(
            target, action, document, headers=call_headers(context or {}), actor="facade"
        )

    def execute_request(
        self, workflow_type: str, start: Start, *, wait_seconds: float = 0
    ) -> WorkflowExecution:
        """Run the workflow that stands for a type, waiting for its end if asked to."""
        (answer,) = self._requests.send(workflow_type, starts=[start])
        started = workflow_services.accepted(answer)
        return workflow_services.wait_for_end(started.execution, seconds=wait_seconds)

    def check_readiness(self) -> list[Check]:
        """Check everything that the hub needs."""
        return check_readiness()

    def describe_system(self) -> dict[str, Any]:
        """Return the health of the whole system, from what the database knows."""
        started = time.perf_counter()
        services = describe_services()
        workers = _describe_workers()
        return {
            "status": overall_status(services["service_counts"], has_worker=bool(workers)),
            **services,
            "circuit_breaker_statuses": describe_circuits(),
            "executions": _count_executions(),
            "workers": workers,
            "legacy_api": _describe_legacy_api(),
            "timestamp": timezone.now().isoformat(),
            "execution_time_ms": round((time.perf_counter() - started) * 1000, 2),
        }


def _describe_workers() -> list[dict[str, Any]]:
    workers = Worker.alive(timezone.now()).order_by("name")
    return [
        {
            "name": worker.name,
            "started_at": worker.created_at.isoformat(),
            "seen_at": worker.seen_at.isoformat(),
            "in_flight": worker.in_flight,
            "swept_at": worker.swept_at.isoformat() if worker.swept_at else None,
        }
        for worker in workers
    ]


def _describe_legacy_api() -> dict[str, Any]:
    counted = LegacyCall.objects.aggregate(
        callers=Count("caller", distinct=True),
        calls=Coalesce(Sum("calls"), 0),
        last_call_at=Max("last_at"),
    )
    last = counted["last_call_at"]
    return {
        "enabled": settings.LEGACY_API,
        **counted,
        "last_call_at": last.isoformat() if last else None,
    }


def _count_executions() -> dict[str, int]:
    """Count the executions of the last day by status."""
    recent = WorkflowExecution.objects.filter(created_at__gte=timezone.now() - timedelta(days=1))
    counts = dict(recent.values_list("status").annotate(Count("id")).order_by())
    return {status: counts.get(status, 0) for status in ExecutionStatus.values}


@lru_cache(maxsize=1)
def get_facade() -> SystemIntegrationFacade:
    """Return the facade of this process, with its real parts."""
    return SystemIntegrationFacade()
