"""Resolves the name of a target to its instances and the schema of the action."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from django.conf import settings
from django.utils import timezone

from core.db.models import find_bound
from core.json.schema import Schema
from core.suggestions import did_you_mean, meant_among
from registry.calls.auth.loaded_credential import LoadedCredential, load_credential
from registry.calls.targets.load_balancing import (
    RANK,
    Candidates,
    Selection,
    calls_in_flight,
)
from registry.calls.targets.request_action import IDEMPOTENT, registered_request, request_in
from registry.credentials.grants import granted_calls
from registry.discovery.base import Criteria, get_discovery
from registry.exceptions import ServiceNotFoundError, ServiceUnavailableError
from registry.models import (
    HEALTHY,
    HttpMethod,
    Service,
    ServiceAction,
    ServiceInstance,
    ServiceStatus,
    ServiceType,
)
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
    service_id: str = ""
    # Why it cannot be called, where it cannot.
    unusable_reason: str = ""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How requests are sent; a connection may say otherwise than these defaults.

    With `takes_text`, an answer that is no JSON becomes `{"text": ...}` instead of an error; with
    `keeps_refusals`, an error brings what was answered in its detail `answer`.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float | None = None
    ca_bundle: str = ""
    tls: ssl.SSLContext | None = None
    accepts: str = "application/json"
    takes_text: bool = False
    keeps_refusals: bool = False


DEFAULT_HTTP_OPTIONS = HttpOptions()


@dataclass(frozen=True)
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
    # "service" or "connection": which of them carries the credential.
    kind: str = "service"
    # What may be sent with the credential, as of `call_at`; None where that is for the caller.
    granted: frozenset[str] | None = None

    @property
    def title(self) -> str:
        """The name that a sentence calls it by."""
        return f"The action '{self.action}' of '{self.service}'"

    @cached_property
    def candidates(self) -> Candidates[Endpoint]:
        """The endpoints, made ready for choices."""
        return Candidates(self.endpoints, zone=settings.ZONE)

    def selection(self, suspected: Collection[str] = ()) -> Selection[Endpoint]:
        """Return the instances that may be called, best first.

        Those whose URL is `suspected` come last, so that they are used if there is no other.

        Raises:
            ServiceUnavailableError: every instance is offline or in maintenance.
        """
        if self.candidates:
            return self.candidates.select(
                suspected=suspected, in_flight=calls_in_flight.__getitem__
            )
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
    """Find the action of a target in the registry: by its name, or as a method and a path.

    A request that is registered as an action is that one, with its schemas. Any other is sent as
    it is, and carries no credential: that is for what the service registered. Of a type, the
    healthy services come first; one that is not up is found as it is by its name, and it is the
    call that finds nobody to answer.

    Raises:
        ServiceNotFoundError: there never was such a service, or it has no such action.
    """
    as_of = get_discovery().latest_index()
    by_type = target.kind == "service_type"
    request = _request_in(action)
    service = _of_type_with("" if request else action, target.name) if by_type else _named(target)
    resolved = _named_action(service, action) if request is None else _requested(service, *request)
    return replace(resolved, as_of=as_of)


def _request_in(action: str) -> tuple[str, str] | None:
    try:
        return request_in(action)
    except ValueError:
        return None  # no service has such an action


def _named_action(service: Service, action: str) -> ResolvedAction:
    row = next((a for a in service.actions.all() if a.name == action), None)
    if row is None:
        raise _no_action([service], action)
    return _resolved(service, row)


def _requested(service: Service, method: str, path: str) -> ResolvedAction:
    """Return a request to a service, as the action that is registered for it if there is one."""
    row = registered_request(service.actions.all(), method, path)
    if row is not None:
        return replace(_resolved(service, row), path=path)
    unregistered = ServiceAction(
        name=f"{method} {path}", method=method, path=path, idempotent=method in IDEMPOTENT
    )
    return replace(_resolved(service, unregistered), credential=None)


def _of_type_with(action: str, name: str) -> Service:
    """Return the service of a type that is chosen for an action, or the first that has it.

    Without an action, any will do.

    Raises:
        ServiceNotFoundError: there is no service of the type, or none with the action.
    """
    criteria = Criteria(types=(_type_of(name),), action=action)
    chosen = _choose(criteria, zone=settings.ZONE)
    if chosen is not None:
        return chosen.service
    down = get_discovery().select(replace(criteria, include_offline=True)).first()
    if down is not None:
        return down
    without_it = _all_of_type(name)
    if not without_it:
        raise _none_of_type(name)
    raise _no_action(sorted(without_it, key=lambda s: s.status not in HEALTHY), action)


def choose_of_type(name: str, *, zone: str) -> ServiceChoice:
    """Return a healthy service of a type with its best instance.

    Raises:
        ServiceNotFoundError: there is none.
        ServiceUnavailableError: there is, and it is not up.
    """
    chosen = _choose(Criteria(types=(_type_of(name),)), zone=zone)
    if chosen is not None:
        return chosen
    down = _all_of_type(name)
    if not down:
        raise _none_of_type(name)
    states = ", ".join(f"'{service.name}' is {service.status}" for service in down[:MOST_NAMED])
    more = f" and {len(down) - MOST_NAMED} more" if len(down) > MOST_NAMED else ""
    raise ServiceUnavailableError(
        f"No service of type {_type_of(name)} is up: {states}{more}.", service=down[0].name
    )


def _choose(criteria: Criteria, *, zone: str) -> ServiceChoice | None:
    """Choose among the instances of services; then among services without one to call.

    Those are healthy because a person says so.
    """
    services = read_endpoints(criteria)
    candidates = Candidates((e for each in services.values() for e in each), zone=zone)
    selection = candidates.select(in_flight=calls_in_flight.__getitem__)
    for endpoint in selection.order:
        service = _find_chosen(endpoint.service_id)
        instances = service.instances.all() if service else ()
        instance = next((i for i in instances if str(i.pk) == endpoint.id), None)
        if service is not None and instance is not None:
            return ServiceChoice(service, instance, selection.fail_open)
    for service_id in services:
        if (service := _find_chosen(service_id)) is not None:
            return ServiceChoice(service, None, fail_open=False)
    return None


def _find_chosen(service_id: str) -> Service | None:
    """Return a service with its parts; None if it went since it was chosen."""
    return Service.objects.with_parts().filter(pk=service_id).first()


def read_endpoints(criteria: Criteria) -> dict[str, list[Endpoint]]:
    """Return the instances of the services that meet the criteria, by the service's id, by name.

    No more of them than a choice takes, in one query.
    """
    rows = get_discovery().select(criteria).select_related(None).prefetch_related(None).values_list(
        "pk", "maintenance_since", "instances__pk", "instances__url", "instances__status",
        "instances__weight", "instances__zone", "instances__suspected_at",
    )  # fmt: skip
    endpoints: dict[str, list[Endpoint]] = {}
    for service_id, maintained, key, url, status, weight, zone, suspected in rows:
        of_service = endpoints.setdefault(str(service_id), [])
        if key is not None:
            endpoint = Endpoint(
                id=str(key),
                url=url,
                status=ServiceStatus.MAINTENANCE if maintained else status,
                weight=weight,
                zone=zone,
                suspect=suspected is not None,
                service_id=str(service_id),
            )
            of_service.append(endpoint)
    return endpoints


def _all_of_type(name: str) -> list[Service]:
    return get_discovery().find(Criteria(types=(_type_of(name),), include_offline=True))


def _type_of(name: str) -> str:
    try:
        return str(ServiceType.parse(name).value)
    except ValueError as error:
        raise ServiceNotFoundError(f"No service of type {name} found: {error}") from None


def _none_of_type(name: str) -> ServiceNotFoundError:
    return ServiceNotFoundError(f"No service of type {name} found")


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


def _named(target: CallTarget) -> Service:
    service = find_bound(Service.objects.with_parts(), target.name, key=target.id)
    if service is None:
        close = meant_among(Service.objects, target.name).removesuffix(".")
        sentence = f"No service named '{target.name}' found{close}"
        raise ServiceNotFoundError(sentence, service=target.name)
    return service


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
        granted=granted_calls(action, service.credential_id),
    )
