"""Resolves the name of a target to its instances and the schema of the action."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from django.conf import settings
from django.utils import timezone

from core.db.models import find_bound
from core.json.schema import Schema
from core.suggestions import did_you_mean, meant_among
from registry.calls.auth.loaded_credential import LoadedCredential, load_credential
from registry.calls.targets.load_balancing import (
    RANK,
    Selection,
    calls_in_flight,
    select_instances,
)
from registry.discovery.base import Criteria, get_discovery
from registry.exceptions import ServiceNotFoundError, ServiceUnavailableError
from registry.models import HttpMethod, Service, ServiceAction, ServiceInstance, ServiceType
from registry.models.status import explain_status
from registry.policies.circuit_profile import Profile, profile_of
from registry.policies.rate_limits import CallLimits, limits_of

CONNECT_SECONDS = 5.0
# How many services that are down a sentence names.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class CallTarget:
    """A name that is called: `kind` is service or connection (by name or id), or service_type.

    With an `id`, the row of that id if there is one, whatever its name.
    """

    kind: str
    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An instance that may be called; without a profile no breaker guards it."""

    id: str
    url: str
    status: str
    weight: int
    profile: Profile | None = None
    zone: str = ""
    suspect: bool = False
    # Why it cannot be called, where it cannot.
    unusable_reason: str = ""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How requests are sent; a connection may say otherwise than these defaults.

    With `takes_text`, an answer that is no JSON becomes `{"text": ...}` instead of an error.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float | None = None
    ca_bundle: str = ""
    tls: ssl.SSLContext | None = None
    accepts: str = "application/json"
    takes_text: bool = False


DEFAULT_HTTP_OPTIONS = HttpOptions()


@dataclass(frozen=True, slots=True)
class ResolvedAction:
    """An action of one service, ready to be called at one of its endpoints."""

    service: str
    action: str
    method: str
    path: str
    input_schema: Schema
    output_schema: Schema
    timeout_seconds: float | None
    idempotent: bool
    endpoints: tuple[Endpoint, ...]
    credential: LoadedCredential | None = None
    # What is limited, and how; None for no limits.
    subject_id: str = ""
    limits: CallLimits | None = None
    http: HttpOptions = DEFAULT_HTTP_OPTIONS
    # The name in the audit trail of a credential, where that is not the service.
    audit_name: str = ""
    # What happens to fields that the input schema does not name; None: as the schema says.
    unknown_fields: str | None = None
    # The newest change of the registry before it was read.
    as_of: int = 0

    @property
    def title(self) -> str:
        """The name that a sentence calls it by."""
        return f"The action '{self.action}' of '{self.service}'"

    def selection(self, suspected: Collection[str] = ()) -> Selection[Endpoint]:
        """Return the instances that may be called, best first.

        Those whose URL is `suspected` come last, so that they are used if there is no other.

        Raises:
            ServiceUnavailableError: every instance is offline or in maintenance.
        """
        selection = select_instances(
            self.endpoints,
            zone=settings.ZONE,
            suspected=suspected,
            in_flight=calls_in_flight.__getitem__,
        )
        if selection.order:
            return selection
        if not self.endpoints:
            sentence = f"The service '{self.service}' has no instance. Register it with its url."
        else:
            states = ", ".join(sorted({e.status for e in self.endpoints}))
            reasons = " ".join(
                dict.fromkeys(e.unusable_reason for e in self.endpoints if e.unusable_reason)
            )
            sentence = f"No instance of '{self.service}' can be called: {states}. {reasons}".strip()
        raise ServiceUnavailableError(sentence, service=self.service, action=self.action)


@dataclass(frozen=True, slots=True)
class ServiceChoice:
    """A service of a type, and the instance of it that was chosen, if it has one to call."""

    service: Service
    instance: ServiceInstance | None
    fail_open: bool


def resolve(target: CallTarget, action: str) -> ResolvedAction:
    """Find the action of a target in the registry.

    Of a type, the healthy services come first; one that is not up is found as it is by its name,
    and it is the call that finds nobody to answer.

    Raises:
        ServiceNotFoundError: there never was such a service, or it has no such action.
    """
    as_of = get_discovery().latest_index()
    by_type = target.kind == "service_type"
    services = _of_type(target.name) if by_type else iter(_named(target))
    without_it = []
    for service in services:
        row = next((a for a in service.actions.all() if a.name == action), None)
        if row is not None:
            return replace(_resolved(service, row), as_of=as_of)
        without_it.append(service)
    raise _no_action(without_it, action)


def _of_type(name: str) -> Iterator[Service]:
    """Yield services of a type: the healthy ones in the order of the choice, then the others.

    Raises:
        ServiceNotFoundError: there is none.
    """
    healthy = [chosen.service for chosen in _choices(name, zone=settings.ZONE)]
    yield from healthy
    others = [s for s in _all_of_type(name) if s not in healthy]
    if not (healthy or others):
        raise _none_of_type(name)
    yield from others


def choices_of_type(name: str, *, zone: str) -> list[ServiceChoice]:
    """Return healthy services of a type, each with its best instance, the best choice first.

    Raises:
        ServiceNotFoundError: there is none.
        ServiceUnavailableError: there is, and it is not up.
    """
    choices = _choices(name, zone=zone)
    if choices:
        return choices
    down = _all_of_type(name)
    if not down:
        raise _none_of_type(name)
    states = ", ".join(f"'{service.name}' is {service.status}" for service in down[:MOST_NAMED])
    more = f" and {len(down) - MOST_NAMED} more" if len(down) > MOST_NAMED else ""
    raise ServiceUnavailableError(
        f"No service of type {_type_of(name)} is up: {states}{more}.", service=down[0].name
    )


def _choices(name: str, *, zone: str) -> list[ServiceChoice]:
    services = get_discovery().find(Criteria(types=(_type_of(name),)))
    instances = [instance for service in services for instance in service.instances.all()]
    selection = select_instances(
        [_endpoint_of(i) for i in instances], zone=zone, in_flight=calls_in_flight.__getitem__
    )
    return _first_of_each(services, instances, selection)


def _all_of_type(name: str) -> list[Service]:
    return get_discovery().find(Criteria(types=(_type_of(name),), include_offline=True))


def _type_of(name: str) -> str:
    try:
        return str(ServiceType.parse(name).value)
    except ValueError as error:
        raise ServiceNotFoundError(f"No service of type {name} found: {error}") from None


def _none_of_type(name: str) -> ServiceNotFoundError:
    return ServiceNotFoundError(f"No service of type {name} found")


def _first_of_each(
    services: list[Service], instances: list[ServiceInstance], selection: Selection[Endpoint]
) -> list[ServiceChoice]:
    rows = {str(instance.pk): instance for instance in instances}
    owners = {service.pk: service for service in services}
    choices: dict[object, ServiceChoice] = {}
    for endpoint in selection.order:
        row = rows[endpoint.id]
        choice = ServiceChoice(owners[row.service_id], row, selection.fail_open)
        choices.setdefault(row.service_id, choice)
    # Said to be healthy by a person, and without an instance that could be called.
    rest = [ServiceChoice(s, None, fail_open=False) for s in services if s.pk not in choices]
    return [*choices.values(), *rest]


def _endpoint_of(instance: ServiceInstance, profile: Profile | None = None) -> Endpoint:
    status = instance.usable_status
    return Endpoint(
        id=str(instance.pk),
        url=instance.url,
        status=status,
        weight=instance.weight,
        profile=profile,
        zone=instance.zone,
        suspect=instance.suspect,
        unusable_reason="" if status in RANK else explain_status(instance, now=timezone.now()),
    )


def _named(target: CallTarget) -> list[Service]:
    service = find_bound(Service.objects.with_parts(), target.name, key=target.id)
    if service is None:
        close = meant_among(Service.objects, target.name).removesuffix(".")
        sentence = f"No service named '{target.name}' found{close}"
        raise ServiceNotFoundError(sentence, service=target.name)
    return [service]


def _no_action(services: list[Service], action: str) -> ServiceNotFoundError:
    names = sorted({a.name for s in services for a in s.actions.all()})
    registered = f"It has: {', '.join(names)}." if names else "It has registered no actions."
    return ServiceNotFoundError(
        f"The service '{services[0].name}' has no action"
        f" '{action}'{did_you_mean(action, names)} {registered}",
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
        endpoints=tuple(_endpoint_of(i, profile) for i in service.instances.all()),
        credential=load_credential(service.credential) if service.credential else None,
        subject_id=str(service.pk),
        limits=limits_of(service.limits),
        unknown_fields=action.unknown_fields,
    )
