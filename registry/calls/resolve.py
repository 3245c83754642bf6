"""From a target's name to where it answers and what shape it takes."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import dataclass

from registry.circuits.profile import Profile, profile_of
from registry.discovery.base import Criteria, get_discovery
from registry.exceptions import ServiceNotFoundError, ServiceUnavailableError
from registry.models import HttpMethod, Service, ServiceAction, ServiceStatus, ServiceType
from registry.schemas import Schema

# An instance that nothing is known of is better than none.
_RANK: dict[str, int] = {
    ServiceStatus.ONLINE: 0,
    ServiceStatus.DEGRADED: 1,
    ServiceStatus.UNKNOWN: 2,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Who is called: `kind` is service (by name or id) or service_type (discovery picks one)."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that may be called; without a profile no breaker guards it."""

    id: str
    url: str
    status: str
    weight: int
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class ResolvedAction:
    """An action of one service, ready to be called on one of its candidates."""

    service: str
    action: str
    method: str
    path: str
    input_schema: Schema
    output_schema: Schema
    timeout_seconds: float | None
    idempotent: bool
    candidates: tuple[Candidate, ...]

    def in_order(self, suspected: Collection[str] = ()) -> list[Candidate]:
        """The instances that may be called, best first: by health, at random by weight within.

        Those whose URL is `suspected` come last, so that they are used if there is no other.

        Raises:
            ServiceUnavailableError: every instance is offline or in maintenance.
        """
        usable = [c for c in self.candidates if c.status in _RANK]
        if usable:
            return sorted(usable, key=lambda c: (c.url in suspected, _RANK[c.status], _draw(c)))
        if not self.candidates:
            sentence = f"The service '{self.service}' has no instance. Register it with its url."
        else:
            states = ", ".join(sorted({c.status for c in self.candidates}))
            sentence = f"No instance of '{self.service}' can be called: {states}."
        raise ServiceUnavailableError(sentence, service=self.service, action=self.action)


def _draw(candidate: Candidate) -> float:
    """A key whose smallest is each candidate with a chance proportional to its weight.

    Exponential variates with the weight as rate (Efraimidis and Spirakis, 2006).
    """
    return random.expovariate(candidate.weight) if candidate.weight else math.inf


def resolve(target: Target, action: str) -> ResolvedAction:
    """Find the action of a target in the registry.

    Raises:
        ServiceNotFoundError: no such service, none of that type is up, or it has no such action.
    """
    by_type = target.kind == "service_type"
    services = services_of_type(target.name) if by_type else _named(target.name)
    for service in services:
        found = next((a for a in service.actions.all() if a.name == action), None)
        if found is not None:
            return _resolved(service, found)
    raise _no_action(services, action)


def services_of_type(name: str) -> list[Service]:
    """Healthy services of a type: the ONLINE ones first, otherwise in random order.

    Raises:
        ServiceNotFoundError: there is none.
    """
    try:
        wanted = ServiceType.parse(name).value
    except ValueError as error:
        raise ServiceNotFoundError(f"No service of type {name} found: {error}") from None
    services = get_discovery().find(Criteria(types=(wanted,)))
    if not services:
        raise ServiceNotFoundError(f"No service of type {name} found")
    random.shuffle(services)
    return sorted(services, key=lambda s: s.status != ServiceStatus.ONLINE)


def _named(name: str) -> list[Service]:
    service = Service.objects.with_parts().find(name)
    if service is None:
        raise ServiceNotFoundError(f"No service named '{name}' found", service=name)
    return [service]


def _no_action(services: list[Service], action: str) -> ServiceNotFoundError:
    names = sorted({a.name for s in services for a in s.actions.all()})
    known = f"It has: {', '.join(names)}." if names else "It has registered no actions."
    return ServiceNotFoundError(
        f"The service '{services[0].name}' has no action '{action}'. {known}",
        service=services[0].name,
        action=action,
    )


def _resolved(service: Service, action: ServiceAction) -> ResolvedAction:
    profile = profile_of(service.criticality, service.breaker)
    return ResolvedAction(
        service=service.name,
        action=action.name,
        method=str(action.method or HttpMethod.POST),
        path=action.path or f"/{action.name}",
        input_schema=Schema(action.input_schema),
        output_schema=Schema(action.output_schema),
        timeout_seconds=action.timeout_seconds,
        idempotent=action.idempotent,
        candidates=tuple(
            Candidate(str(i.pk), i.url, i.status, i.weight, profile)
            for i in service.instances.all()
        ),
    )
