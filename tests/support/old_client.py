"""What the earlier system's services and clients send, and what their parsers take.

Written from the contract of that system: models of exact fields and closed vocabularies, so that
an answer that lacks one fails to parse.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import httpx2

SERVICE_TYPES = (
    "AGENT_ORCHESTRATOR", "MODEL_ORCHESTRATION", "TOOL_INTEGRATION", "PROJECT_COORDINATOR",
    "PLANNING_SYSTEM", "SERVICE_INTEGRATION", "API_GATEWAY", "WEB_DASHBOARD",
)  # fmt: skip
SERVICE_STATUSES = ("ONLINE", "OFFLINE", "DEGRADED", "MAINTENANCE")
WORKFLOW_STATUSES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")
CIRCUIT_STATES = ("CLOSED", "OPEN", "HALF_OPEN")
SYSTEM_STATUSES = ("HEALTHY", "DEGRADED", "UNHEALTHY")


class Unparsable(AssertionError):
    """An answer that the earlier system's models refuse."""


def one_of(words: tuple[str, ...], value: Any) -> str:
    if value not in words:
        raise Unparsable(f"{value!r} is none of {words}")
    return str(value)


def typed(kind: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, kind):
        raise Unparsable(f"{value!r} is no {kind}")
    return value


@dataclass
class ServiceEndpoint:
    path: str
    method: str
    description: str
    required_permissions: list[str]

    def __post_init__(self) -> None:
        for field in fields(self)[:3]:
            typed(str, getattr(self, field.name))
        typed(list, self.required_permissions)


@dataclass
class ServiceInfo:
    service_id: str
    name: str
    type: str
    version: str
    base_url: str
    health_check_url: str
    endpoints: list[ServiceEndpoint]
    metadata: dict[str, Any]
    status: str
    last_heartbeat: str
    registered_at: str

    def __post_init__(self) -> None:
        for name in ("service_id", "name", "version", "base_url", "health_check_url"):
            typed(str, getattr(self, name))
        one_of(SERVICE_TYPES, self.type)
        one_of(SERVICE_STATUSES, self.status)
        typed(str, self.last_heartbeat), typed(str, self.registered_at)
        self.endpoints = [parse(ServiceEndpoint, each) for each in typed(list, self.endpoints)]


@dataclass
class CircuitInfo:
    id: str
    service_id: str
    state: str
    failure_count: int
    last_failure_time: str | None
    half_open_call_count: int

    def __post_init__(self) -> None:
        one_of(CIRCUIT_STATES, self.state)
        typed(int, self.failure_count), typed(int, self.half_open_call_count)


@dataclass
class SystemHealth:
    status: str
    service_statuses: dict[str, str]
    circuit_breaker_statuses: dict[str, CircuitInfo]
    execution_time_ms: float

    def __post_init__(self) -> None:
        one_of(SYSTEM_STATUSES, self.status)
        for status in self.service_statuses.values():
            one_of(SERVICE_STATUSES, status)
        circuits = self.circuit_breaker_statuses
        self.circuit_breaker_statuses = {k: parse(CircuitInfo, v) for k, v in circuits.items()}


@dataclass
class WorkflowData:
    id: str
    workflow_id: str
    status: str
    execution_time: float
    result: dict[str, Any] | None
    errors: list[str]

    def __post_init__(self) -> None:
        one_of(WORKFLOW_STATUSES, self.status)
        typed((int, float), self.execution_time)
        typed((dict, type(None)), self.result)
        for error in typed(list, self.errors):
            typed(str, error)


def parse(model: Any, document: Any) -> Any:
    """Read a document as the earlier system's models do: unknown fields are ignored."""
    names = [field.name for field in fields(model)]
    typed(dict, document)
    if missing := [name for name in names if name not in document]:
        raise Unparsable(f"{model.__name__} lacks {missing}: {document}")
    return model(**{name: document[name] for name in names})


def items_of(envelope: Any) -> list[ServiceInfo]:
    """Read a list envelope."""
    assert typed(bool, envelope["success"])
    typed(str, envelope["message"]), typed(dict, envelope["metadata"])
    return [parse(ServiceInfo, item) for item in envelope["items"]]


def workflow_of(document: Any) -> WorkflowData:
    """Read an execution in both of the declared shapes: in an envelope, and flat."""
    typed(bool, document["success"]), typed(str, document["message"])
    data = parse(WorkflowData, document["data"])
    assert parse(WorkflowData, document) == data
    return data


STEP_FIELDS = (
    "id", "workflow_id", "step_id", "name", "description", "status", "start_time", "end_time",
    "execution_time", "result", "errors",
)  # fmt: skip


def steps_of(envelope: Any) -> list[Any]:
    """Read steps of executions in a list envelope, with the columns that they had."""
    assert typed(bool, envelope["success"])
    for step in envelope["items"]:
        if missing := set(STEP_FIELDS) - step.keys():
            raise Unparsable(f"a step lacks {missing}")
        one_of(WORKFLOW_STATUSES, step["status"])
    return typed(list, envelope["items"])


def events_of(envelope: Any) -> list[Any]:
    """Read events in a list envelope."""
    assert typed(bool, envelope["success"])
    for event in envelope["events"]:
        typed(str, event["event_type"]), typed(str, event["timestamp"])
    return typed(list, envelope["events"])


class OldService:
    """A service that registers itself, beats and leaves as the earlier system's do."""

    def __init__(self, http: httpx2.Client, **fields: Any) -> None:
        self.http = http
        self.fields = {
            "name": "planning-system",
            "type": "planning_system",
            "version": "1.0.0",
            "base_url": "http://127.0.0.1:9/",
            "health_check_url": "http://127.0.0.1:9/health",
            "endpoints": [
                {
                    "path": "/plans/strategic",
                    "method": "POST",
                    "description": "Make a plan",
                    "required_permissions": ["plans:write"],
                }
            ],
            "metadata": {"team": "planning"},
            **fields,
        }
        self.id = ""

    def register(self) -> ServiceInfo:
        info = self._info("POST", "/registry/services", status=201, json=self.fields)
        self.id = info.service_id
        return info

    def register_again(self) -> ServiceInfo:
        return self._info("POST", "/registry/services", json=self.fields)

    def beat(self, *, status: str | None = None) -> ServiceInfo:
        body = {"service_id": self.id, "status": status}
        return self._info("POST", f"/registry/services/{self.id}/heartbeat", json=body)

    def beat_bare(self) -> ServiceInfo:
        return self._info("POST", f"/registry/services/{self.id}/heartbeat")

    def read(self) -> ServiceInfo:
        return self._info("GET", f"/registry/services/{self.id}")

    def set_status(self, status: str) -> ServiceInfo:
        return self._info("PUT", f"/registry/services/{self.id}/status", params={"status": status})

    def leave(self) -> int:
        return self.http.delete(f"/registry/services/{self.id}").status_code

    def health(self) -> str:
        answer = self.http.get(f"/discovery/health/{self.id}")
        return one_of(SERVICE_STATUSES, answer.json())

    def _info(self, method: str, path: str, status: int = 200, **more: Any) -> ServiceInfo:
        answer = self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return parse(ServiceInfo, answer.json())
