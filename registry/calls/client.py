"""Calls services and connections: every call of the hub goes out through `ServiceClient`.

A call is resolved and then sent, each step within the one before:

    _send_rate_limited        waits for its turn
    _send_to_first_reachable  goes through the instances, the best first
    _send_authenticated       adds the credential, and renews a token that was withdrawn
    _send_through_breaker     refuses where the circuit is open, and counts how the call went
    _send_once                sends, checks the address, reads the answer, masks secrets

The credential comes before the breaker, so that a slow or failing token server does not count
against the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from django.conf import settings

from core.json.schema import Schema, first_of
from registry.calls.auth.authenticator import Authenticator
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.call_counter import CallMinuteCounter
from registry.calls.circuits.breaker import CallRefused
from registry.calls.circuits.breaker_set import BreakerSet
from registry.calls.database_threads import DatabaseThreads
from registry.calls.event_stream import TakeEvent
from registry.calls.health_probe import Probe
from registry.calls.limits.limiter import Limiter
from registry.calls.own_services import ServeCall, own_service
from registry.calls.permits import Permit, check_granted, use_of
from registry.calls.probes import HttpRequest, Reading
from registry.calls.request import OutboundRequest, RawBody, fit_input, prepare_request
from registry.calls.targets.connection_targets import check_graphql_errors, with_action
from registry.calls.targets.load_balancing import calls_in_flight
from registry.calls.targets.resolver import (
    CallTarget,
    Endpoint,
    HttpOptions,
    ResolvedAction,
    resolve,
)
from registry.calls.targets.resolver_cache import ResolverCache
from registry.calls.transport import Transport
from registry.exceptions import (
    CallError,
    CircuitOpenError,
    CredentialNotGrantedError,
    NoTimeLeftError,
    ServiceNotReachedError,
    ServiceResponseError,
    ServiceTimeoutError,
)
from registry.network.address_policy import AddressPolicy

T = TypeVar("T")

# How long an instance that could not be reached is asked last, and how many a call gives up after.
SUSPECT_SECONDS = 10.0
MAX_UNREACHED = 3


@dataclass(frozen=True, slots=True)
class CallResult:
    """The answer of a service, and the instance that gave it."""

    output: Any
    sent: Mapping[str, Any]
    service: str
    instance: str
    status_code: int
    # No instance was known to be well: a suspect was asked, and answered.
    fail_open: bool = False
    # Fields of the input that were dropped.
    warnings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Behalf:
    """For whom a call is made: who began it, in which context, and by which execution."""

    name: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    execution: str = ""


class OutboundCall(NamedTuple):
    """A call on its way out: what is sent, until when on the client's clock, and who calls.

    `timeout_seconds` is what was asked for; None where the deadline is the usual one. `take` is
    given the events of an answer that is a stream of them.
    """

    action: ResolvedAction
    document: Mapping[str, Any]
    headers: Mapping[str, str]
    deadline: float
    timeout_seconds: float | None
    actor: str
    take: TakeEvent | None = None
    raw: RawBody | None = None
    behalf: Behalf = Behalf()


class ServiceClient:
    """Calls actions of services from one event loop, with pooled connections.

    `clock` (monotonic seconds) and `resolver` are replaceable for tests.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        resolver: Callable[[CallTarget, str], ResolvedAction] = resolve,
    ) -> None:
        self._clock = clock
        self._suspects: dict[str, float] = {}
        self._closed_too: list[Callable[[], object]] = []
        self._transport = Transport()
        self._threads = DatabaseThreads()
        self.resolver_cache = ResolverCache(self._threads, resolver, clock=clock)
        self._breakers = BreakerSet(self._threads, clock=clock)
        self._authenticator = Authenticator(self._threads, self._transport.post_form, clock=clock)
        self._limiter = Limiter(self._threads, clock=clock)
        self._counter = CallMinuteCounter(self._threads)

    async def call(
        self,
        target: CallTarget,
        action: str,
        document: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        trim: bool = False,
        unknown_fields: str | None = None,
        actor: str = "engine",
        as_of: int = 0,
        permit: Permit | None = None,
        behalf: Behalf | None = None,
    ) -> CallResult:
        """Call one action and return its checked answer.

        `trim` cuts the document down to what a closed input schema names; `unknown_fields` says
        what happens to others instead of what the action itself says. The deadline covers
        connecting, sending, and everything up to the last byte of the answer. `actor` is who
        calls, for the audit trail of the service's credential. Who is called is as it was after the
        change `as_of` of the registry, or later. `permit` is asked before a credential is used.
        On whose `behalf` it is, only services of the hub itself are told.

        Raises:
            SchemaViolation: the document does not fit the action; nothing was sent.
            CallError: no usable answer came; the subclass says why.
        """
        resolved = await self.resolver_cache.find(target, action, as_of=as_of)
        await self._ask(permit, resolved, actor)
        await self._breakers.catch_up(as_of)
        fitted = fit_input(resolved, document, policy=unknown_fields, trim=trim)
        timeout = timeout_seconds or resolved.timeout_seconds
        # The profile's timeout says when a call is slow and does not end it: what takes longer by
        # nature would be cut off, tried again and done twice.
        deadline = self._clock() + (timeout or settings.CALL_TIMEOUT_SECONDS)
        result = await self._send_counted(
            OutboundCall(
                resolved,
                fitted.sent,
                headers or {},
                deadline,
                timeout,
                actor,
                behalf=behalf or Behalf(actor),
            )
        )
        return replace(result, warnings=fitted.warnings) if fitted.warnings else result

    async def call_connection(
        self,
        reference: str,
        document: Mapping[str, Any],
        *,
        method: str = "POST",
        path: str = "",
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        actor: str = "engine",
        key: str = "",
        timeout_seconds: float | None = None,
        take: TakeEvent | None = None,
        keeps_refusals: bool = False,
        permit: Permit | None = None,
        fresh_seconds: float = 0.0,
        raw: RawBody | None = None,
    ) -> CallResult:
        """Call a HTTP, GRAPHQL or WEBHOOK connection and return its answer.

        `reference` is its id or name, and the row of the id `key` goes before it; whether it may be
        called is asked again for each call, or after `fresh_seconds`. `path` follows its base URL;
        `{name}` in it is filled from the document, whose rest is the body, or the query of GET and
        DELETE; GRAPHQL is given `{"query", "variables"}`. `deadline` is on this client's clock;
        without one the connection's own timeout holds. A call is slow after `timeout_seconds`, if
        given. `permit` is asked before its credential is used.

        With `take`, an answer that is a stream of events is given to it as it comes, and the output
        is empty; the circuit and the limits count the call until its last event. With
        `keeps_refusals`, an error brings the provider's own answer in its detail `answer`. With
        `raw`, that is sent and not the document.

        Raises:
            SchemaViolation: the method, the path or the document cannot be sent.
            CallError: no usable answer came; the subclass says why. RateLimitedError and
                CircuitOpenError say when to come back; ConnectionDisabledError is the kill switch.
        """
        connection = await self.resolver_cache.find(
            CallTarget("connection", reference, key), "", fresh_seconds=fresh_seconds
        )
        action = with_action(connection, method=method, path=path)
        await self._ask(permit, action, actor)
        if keeps_refusals:
            action = replace(action, http=replace(action.http, keeps_refusals=True))
        timeout = timeout_seconds or connection.timeout_seconds
        deadline = deadline or self._clock() + (timeout or settings.CALL_TIMEOUT_SECONDS)
        result = await self._send_rate_limited(
            OutboundCall(action, document, headers or {}, deadline, timeout, actor, take, raw)
        )
        if not connection.http.takes_text:
            check_graphql_errors(action, result.output)
        return result

    async def test_connection(
        self, action: ResolvedAction, document: Mapping[str, Any], *, actor: str
    ) -> tuple[int, Any]:
        """Send one request past the circuit breaker and the limits: the status and the answer.

        Raises:
            CallError: no usable answer came; the subclass says why.
        """
        seconds = action.timeout_seconds or settings.CALL_TIMEOUT_SECONDS
        call = OutboundCall(action, document, {}, self._clock() + seconds, seconds, actor)
        return await self._send_authenticated(call, replace(action.endpoints[0], profile=None))

    async def post(
        self, recipient: str, request: OutboundRequest, *, origin: str, seconds: float
    ) -> int:
        """Send a request that is complete, past breakers and limits, and return its status.

        `recipient` and `origin` are what errors say of where it went; what the request's mask
        hides, they do not say.

        Raises:
            CallError: no 2xx came; the subclass says why.
        """
        action = ResolvedAction(
            service=recipient,
            action=request.method,
            method=request.method,
            path="",
            input_schema=Schema({}),
            output_schema=Schema({}),
            timeout_seconds=seconds,
            idempotent=False,
            endpoints=(),
            http=HttpOptions(accepts="application/json, */*;q=0.5", takes_text=True),
        )
        endpoint = Endpoint(id="", url=origin, status="ONLINE", weight=0)
        call = OutboundCall(action, {}, {}, self._clock() + seconds, seconds, "hub")
        return (await self._send_once(call, endpoint, request))[0]

    async def fetch(self, url: str, *, seconds: float, most_bytes: int) -> bytes:
        """Return what is at a URL; nothing that the hub holds is sent there. Raises: CallError."""
        return await self._transport.fetch(url, seconds, most_bytes)

    async def _ask(self, permit: Permit | None, action: ResolvedAction, actor: str) -> None:
        """Ask whether the caller may use the credential. Raises: CredentialNotGrantedError."""
        if permit is not None and action.credential is not None:
            with self._noting_denials(action, actor):
                await permit(use_of(action))

    @contextlib.contextmanager
    def _noting_denials(self, action: ResolvedAction, actor: str) -> Iterator[None]:
        try:
            yield
        except CredentialNotGrantedError as error:
            credential, subject = action.credential, _audit_name(action)
            assert credential is not None
            self._authenticator.note_denied(credential, error, actor=actor, subject=subject)
            raise

    async def _send_counted(self, call: OutboundCall) -> CallResult:
        """Send, and count how it went. Raises: CallError."""
        began = self._clock()
        try:
            result = await self._send_rate_limited(call)
        except CallError as error:
            self._counter.note(call.action, self._clock() - began, error)
            raise
        self._counter.note(call.action, self._clock() - began)
        return result

    async def _send_rate_limited(self, call: OutboundCall) -> CallResult:
        """Send within the limits of what is called. Raises: CallError."""
        action = call.action
        if action.limits is None:
            return await self._send_to_first_reachable(call)
        async with self._limiter.within(
            action.subject_id, action.limits, name=action.service, deadline=call.deadline
        ):
            return await self._send_to_first_reachable(call)

    async def _send_to_first_reachable(self, call: OutboundCall) -> CallResult:
        """Send to the best instance; where nothing was sent, to the next. Raises: CallError."""
        suspected = {url for url, until in self._suspects.items() if until > self._clock()}
        refused: list[CallRefused] = []
        unreached: list[ServiceNotReachedError] = []
        selection = call.action.selection(suspected)
        for endpoint in selection.order:
            try:
                with calls_in_flight.counted(endpoint.id):
                    status, output = await self._send_authenticated(call, endpoint)
            except CallRefused as error:
                refused.append(error)
                continue
            except ServiceNotReachedError as error:
                self._suspects[endpoint.url] = self._clock() + SUSPECT_SECONDS
                unreached.append(error)
                # Without time left, the next would be blamed for an answer that it cannot give.
                if len(unreached) == MAX_UNREACHED or self._clock() >= call.deadline:
                    break
                continue
            self._suspects.pop(endpoint.url, None)
            _check_output(call.action, endpoint, output)
            return CallResult(
                output, call.document, call.action.service, endpoint.url, status,
                selection.fail_open,
            )  # fmt: skip
        raise unreached[-1] if unreached else _circuits_open(call.action, refused)

    async def _send_authenticated(self, call: OutboundCall, endpoint: Endpoint) -> tuple[int, Any]:
        """Send with the service's credential, if it has one. Raises: CallRefused, CallError."""
        request = prepare_request(
            call.action,
            url=endpoint.url,
            document=call.document,
            headers=call.headers,
            raw=call.raw,
        )
        credential = call.action.credential
        if credential is None:
            return await self._send_through_breaker(call, endpoint, request)
        with self._noting_denials(call.action, call.actor):
            check_granted(call.action, endpoint.url)
        authenticated = await self._authenticate(call, credential, request)
        try:
            return await self._send_through_breaker(call, endpoint, authenticated)
        except ServiceResponseError as error:
            # A token may be withdrawn before its time; the service did nothing, so it is asked once
            # more with a new one.
            if error.upstream_status != 401 or not await self._authenticator.renew_token(
                credential, authenticated
            ):
                raise
        authenticated = await self._authenticate(call, credential, request)
        return await self._send_through_breaker(call, endpoint, authenticated)

    async def _authenticate(
        self, call: OutboundCall, credential: LoadedCredential, request: OutboundRequest
    ) -> OutboundRequest:
        """Add the credential; waiting for a token does not count as a slow call."""
        return await self._authenticator.authenticate(
            credential,
            request,
            seconds=max(call.deadline - self._clock(), 0.0),
            actor=call.actor,
            subject=_audit_name(call.action),
            ca_bundle=call.action.http.ca_bundle,
        )

    async def _send_through_breaker(
        self, call: OutboundCall, endpoint: Endpoint, request: OutboundRequest
    ) -> tuple[int, Any]:
        """Send if the instance's circuit lets it through. Raises: CallRefused, CallError."""
        if self._clock() >= call.deadline:
            raise NoTimeLeftError(
                f"'{call.action.service}' was not called: its deadline was over before anything"
                " could be sent.",
                service=call.action.service,
                instance=endpoint.url,
                action=call.action.action,
            )
        profile = endpoint.profile
        if profile is None:
            return await self._send_once(call, endpoint, request)
        return await self._breakers.breaker(endpoint.id, profile).call(
            self._send_once,
            call,
            endpoint,
            request,
            deadline_seconds=max(call.deadline - self._clock(), 0.0),
            slow_seconds=max(profile.timeout_seconds, call.timeout_seconds or 0.0),
        )

    async def _send_once(
        self, call: OutboundCall, endpoint: Endpoint, request: OutboundRequest
    ) -> tuple[int, Any]:
        """Send one request; no secret is in what comes of it. Raises: CallError."""
        seconds = max(call.deadline - self._clock(), 0.0)
        try:
            serve = own_service(call.action.subject_id)
            if serve is not None:
                return await self._serve(serve, call, endpoint, seconds)
            status, output = await self._transport.send(
                call.action, endpoint, request, seconds, call.take
            )
        except CallError as error:
            raise request.mask.error(error) from None
        return status, output

    async def _serve(
        self, serve: ServeCall, call: OutboundCall, endpoint: Endpoint, seconds: float
    ) -> tuple[int, Any]:
        """Have the hub itself answer within so many seconds. Raises: CallError."""
        try:
            async with asyncio.timeout(seconds):
                return await serve(self, call)
        except TimeoutError:
            name = call.action.service
            raise ServiceTimeoutError(
                f"No answer from '{name}' at {endpoint.url} within {seconds:.3g} s.",
                service=name,
                instance=endpoint.url,
                action=call.action.action,
            ) from None

    def in_database(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Begin work that waits for the database, off this loop."""
        return self._threads.run(function, *args)

    async def probe(self, urls: Sequence[str]) -> list[Probe]:
        """Ask health URLs at once, in their order."""
        return await self._transport.probe(urls)

    async def ask(self, request: HttpRequest, seconds: float) -> Reading:
        """Ask a URL once, past breakers and limits, and return whatever it answers.

        Raises:
            ProbeFailed: no answer came.
        """
        return await self._transport.ask(request, seconds)

    def close_too(self, close: Callable[[], object]) -> None:
        """Have what works with this client closed before it."""
        self._closed_too.append(close)

    @property
    def policy(self) -> AddressPolicy:
        """The addresses that may be called, for who dials by themselves."""
        return self._transport.policy

    async def close(self) -> None:
        """Record what is still to be recorded, and close the pooled connections."""
        for close in self._closed_too:
            close()
        try:
            await self._limiter.close()
            await self._breakers.close()
            await self._authenticator.close()
            await self._counter.close()
        finally:
            await self._transport.close()
            self._threads.close()


def _audit_name(action: ResolvedAction) -> str:
    return action.audit_name or action.service


def _check_output(action: ResolvedAction, endpoint: Endpoint, output: Any) -> None:
    problems = action.output_schema.problems(output)
    if problems:
        raise ServiceResponseError(
            f"The answer of '{action.service}' does not fit the output schema of"
            f" '{action.action}': {first_of(problems)}",
            errors=problems,
            service=action.service,
            instance=endpoint.url,
            action=action.action,
        )


def _circuits_open(action: ResolvedAction, refused: Sequence[CallRefused]) -> CircuitOpenError:
    count = len(refused)
    circuits = f"the circuits of all {count} instances are" if count > 1 else "its circuit is"
    return CircuitOpenError(
        f"'{action.service}' is not called: {circuits} open. {refused[0]}",
        retry_after=min(error.retry_after for error in refused),
        service=action.service,
        instance=action.endpoints[0].url if len(action.endpoints) == 1 else "",
        action=action.action,
    )
