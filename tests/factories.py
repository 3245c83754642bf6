"""Rows for the tests: plain functions with defaults that are valid."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from core.models import ApiKey
from registry.credentials.grants import grant_actions
from registry.models import Service, ServiceAction, ServiceInstance
from registry.services import refresh_status
from workflows.models import (
    EventKind,
    Workflow,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
    WorkflowVersion,
    checksum_of,
)

_numbers = itertools.count(1)
SIMPLE_STEPS: list[dict[str, Any]] = [
    {"id": "shout", "type": "TRANSFORM", "output": {"text": "$.input.text"}, "next": None}
]


def make_key(role: str = "OPERATOR", **fields: Any) -> tuple[ApiKey, str]:
    """A stored API key, and its text as callers send it."""
    key = ApiKey(**{"name": f"key-{next(_numbers)}", "role": role, **fields})
    text = key.issue_secret()
    key.full_clean()
    key.save()
    return key, text


def caller(role: str = "OPERATOR", **fields: Any) -> APIClient:
    """A client that sends the key of that role with every request."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_key(role, **fields)[1]}")
    return client


def make_service(
    name: str = "",
    *,
    urls: tuple[str, ...] = (),
    actions: tuple[str, ...] = (),
    instance: dict[str, Any] | None = None,
    **fields: Any,
) -> Service:
    """A stored service with one instance for each URL, alive from now on."""
    service = Service.objects.create(name=name or f"service-{next(_numbers)}", **fields)
    for url in urls:
        make_instance(service, url, **(instance or {}))
    for action in actions:
        ServiceAction.objects.create(service=service, name=action)
    if service.credential_id is not None:  # who links one lets the actions use it
        grant_actions(service, actor="tester")
    if urls and "status" not in fields:
        refresh_status(service)
    return service


def make_instance(
    service: Service, url: str, *, at: datetime | None = None, **fields: Any
) -> ServiceInstance:
    """A stored instance whose heartbeat was at that time, or now."""
    beat = at or timezone.now()
    instance = ServiceInstance(service=service, url=url, **fields)
    instance.last_heartbeat_at = beat
    instance.expires_at = beat + timedelta(seconds=instance.ttl_seconds)
    instance.save()
    return instance


def make_workflow(
    name: str = "", steps: list[dict[str, Any]] | None = None, **fields: Any
) -> Workflow:
    """A stored ACTIVE workflow with one version."""
    workflow = Workflow.objects.create(name=name or f"workflow-{next(_numbers)}", **fields)
    document = {"steps": SIMPLE_STEPS if steps is None else steps}
    workflow.current_version = WorkflowVersion.objects.create(
        workflow=workflow, number=1, steps=document["steps"], checksum=checksum_of(document)
    )
    workflow.save()
    return workflow


def make_execution(workflow: Workflow | None = None, **fields: Any) -> WorkflowExecution:
    """A stored execution with one step and one event."""
    workflow = workflow or make_workflow()
    execution = WorkflowExecution.objects.create(
        **{
            "workflow": workflow,
            "version": workflow.current_version,
            "workflow_name": workflow.name,
            "type": workflow.type,
            "last_sequence": 1,
            **fields,
        }
    )
    WorkflowStep.objects.create(execution=execution, step_id="shout", path="shout")
    WorkflowEvent.objects.create(execution=execution, sequence=1, kind=EventKind.STARTED)
    return execution
