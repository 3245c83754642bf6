"""Policies of escalation: who else is told of what nobody sees to."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

POLICIES = Collection("/monitoring/escalations", "escalation policy")


async def create_escalation_policy(
    hub: Hub,
    name: str,
    levels: list[JsonObject],
    *,
    min_severity: str | None = None,
    subjects: list[str] | None = None,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    enabled: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Make a policy, by which others are told of what nobody sees to for so many minutes.

    `min_severity` is WARNING or CRITICAL, which it is unless given: what is less grave is not
    escalated. Raises: ValidationError, ConflictError.
    """
    return await POLICIES.call(hub, "POST", locals())


async def update_escalation_policy(
    hub: Hub,
    policy_id: str,
    name: str | None = None,
    *,
    levels: list[JsonObject] | None = None,
    min_severity: str | None = None,
    subjects: list[str] | None = None,
    services: list[str] | None = None,
    tags: list[str] | None = None,
    enabled: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a policy, and leave the rest; levels are replaced as a whole.

    Raises: ResourceNotFoundError, ValidationError, ConflictError when the name is taken.
    """
    return await POLICIES.call(hub, "PATCH /{policy_id}", locals())


async def delete_escalation_policy(hub: Hub, policy_id: str) -> JsonObject:
    """Remove a policy. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    return await POLICIES.delete(hub, "/{policy_id}", locals())


async def get_escalation_policy(hub: Hub, policy_id: str) -> JsonObject:
    """A policy by its id or name. Raises: ResourceNotFoundError."""
    return await POLICIES.call(hub, "GET /{policy_id}", locals())


async def get_escalation_policies(
    hub: Hub,
    enabled: bool | None = None,
    *,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the policies, by name. Raises: ValidationError."""
    return await POLICIES.call(hub, "GET", locals())
