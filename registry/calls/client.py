"""The one way out: every call to a service goes through `ServiceClient`.

A call is: resolve, policy, credential, breaker, send, classify, record. The breaker is around
`_send`; the address policy belongs before it. The credential comes before the breaker, so that a
slow or failing token server does not count against the service.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from django.conf import settings

from core.json.schema import first_of
from registry.calls.auth.authenticator import AuthenticatedRequest, Authenticator
from registry.calls.auth.loaded_credential import LoadedCredential
from registry.calls.circuits.breaker import CallRefused
from registry.calls.circuits.breaker_set import BreakerSet
from registry.calls.database_threads import DatabaseThreads
from registry.calls.health_probe import Probe
from registry.calls.limits.limiter import Limiter
from registry.calls.request import PreparedRequest, fit_input, prepare_request
from registry.calls.targets.connection_targets import check_graphql_errors, with_action
from registry.calls.targets.in_flight import calls_in_flight
from registry.calls.targets.resolver import CallTarget, Endpoint, ResolvedAction, resolve
from registry.calls.targets.resolver_cache import ResolverCache
from registry.calls.transport import Transport
from registry.exceptions import (
    CallError,
    CircuitOpenError,
    NoTimeLeftError,
    ServiceNotReachedError,
    ServiceResponseError,
)

T = TypeVar("T")

# How long an instance that could not be reached is asked last, and how many a call tries.
SUSPECT_SECONDS = 10.0
MOST_INSTANCES = 3


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a service answered, and who it was."""

    output: Any
    sent: Mapping[str, Any]
    service: str
    instance: str
    status_code: int
    # Nobody was known to be well: a suspect was asked, and answered.
    fail_open: bool = False
    # What was done to the input: fields that were dropped.
    warnings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """When a call has to end, on the client's clock, the seconds it was given, and who calls."""

    deadline: float
    given_seconds: float | None
    actor: str = "engine"


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
        self._transport = Transport()
        self._threads = DatabaseThreads()
        self.resolutions = ResolverCache(self._threads, resolver, clock=clock)
        self._circuits = BreakerSet(self._threads, clock=clock)
        self._credentials = Authenticator(self._threads, self._transport.post_form, clock=clock)
        self._limiter = Limiter(self._threads, clock=clock)

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
    ) -> CallResult:
        """Call one action and return its checked answer.

        `trim` cuts the document down to what a closed input schema names; `unknown_fields` says
        what happens to others instead of what the action itself says. The deadline covers
        connecting, sending, and everything up to the last byte of the answer. `actor` is who
        calls, for the audit trail of the service's credential. Who is called is as it was after the
        change `as_of` of the registry, or later.

        Raises:
            SchemaViolation: the document does not fit the action; nothing was sent.
            CallError: no usable answer came; the subclass says why.
        """
        found = await self.resolutions.find(target, action, as_of=as_of)
        await self._circuits.catch_up(as_of)
        fitted = fit_input(found, document, policy=unknown_fields, trim=trim)
        given = timeout_seconds or found.timeout_seconds
        # The profile's timeout says when a call is slow and does not end it: what takes longer by
        # nature would be cut off, tried again and done twice.
        deadline = self._clock() + (given or settings.CALL_TIMEOUT_SECONDS)
        limits = Limits(deadline, given, actor)
        result = await self._call(found, fitted.sent, headers or {}, limits)
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
    ) -> CallResult:
        """Call a connection, as `connection_call` does; `deadline` is on this client's clock."""
        known = await self.resolutions.find(CallTarget("connection", reference, key), "")
        found = with_action(known, method=method, path=path)
        own = known.timeout_seconds or settings.CALL_TIMEOUT_SECONDS
        limits = Limits(deadline or self._clock() + own, known.timeout_seconds, actor)
        result = await self._call(found, document, headers or {}, limits)
        if not known.wire.takes_text:
            check_graphql_errors(found, result.output)
        return result

    async def test_connection(
        self, found: ResolvedAction, document: Mapping[str, Any], *, actor: str
    ) -> tuple[int, Any]:
        """Send one request past the circuit breaker and the limits: the status and the answer.

        Raises:
            CallError: no usable answer came; the subclass says why.
        """
        candidate = found.candidates[0]
        seconds = found.timeout_seconds or settings.CALL_TIMEOUT_SECONDS
        limits = Limits(self._clock() + seconds, seconds, actor)
        request = prepare_request(found, url=candidate.url, document=document)
        bare = replace(candidate, profile=None)
        return await self._guarded(found, bare, request, {}, limits)

    async def _call(
        self,
        found: ResolvedAction,
        sent: Mapping[str, Any],
        headers: Mapping[str, str],
        limits: Limits,
    ) -> CallResult:
        """Call within the limits of what is called."""
        if found.limits is None:
            return await self._call_one_of(found, sent, headers, limits)
        async with self._limiter.within(
            found.subject_id, found.limits, name=found.service, deadline=limits.deadline
        ):
            return await self._call_one_of(found, sent, headers, limits)

    async def _call_one_of(
        self,
        found: ResolvedAction,
        sent: Mapping[str, Any],
        headers: Mapping[str, str],
        limits: Limits,
    ) -> CallResult:
        """Call an instance; where nothing was sent, the next may be asked."""
        suspected = {url for url, until in self._suspects.items() if until > self._clock()}
        refused: list[CallRefused] = []
        unreached: list[ServiceNotReachedError] = []
        selection = found.selection(suspected)
        for candidate in selection.order:
            request = prepare_request(found, url=candidate.url, document=sent)
            try:
                with calls_in_flight.counted(candidate.id):
                    status, output = await self._guarded(found, candidate, request, headers, limits)
            except CallRefused as error:
                refused.append(error)
                continue
            except ServiceNotReachedError as error:
                self._suspects[candidate.url] = self._clock() + SUSPECT_SECONDS
                unreached.append(error)
                # Without time left, the next would be blamed for an answer that it cannot give.
                if len(unreached) == MOST_INSTANCES or self._clock() >= limits.deadline:
                    break
                continue
            self._suspects.pop(candidate.url, None)
            self._check_output(found, candidate, output)
            return CallResult(
                output, sent, found.service, candidate.url, status, selection.fail_open
            )
        raise unreached[-1] if unreached else _all_open(found, refused)

    async def _guarded(
        self,
        found: ResolvedAction,
        candidate: Endpoint,
        request: PreparedRequest,
        headers: Mapping[str, str],
        limits: Limits,
    ) -> tuple[int, Any]:
        """Send, with the credential of the service. Raises: CallRefused, CallError."""
        if found.credential is None:
            return await self._through(
                found, candidate, AuthenticatedRequest(request, headers), limits
            )
        outgoing = await self._dress(found, found.credential, request, headers, limits)
        try:
            return await self._through(found, candidate, outgoing, limits)
        except ServiceResponseError as error:
            # A token may be withdrawn before its time; the service did nothing, so it is asked once
            # more with a new one.
            if error.upstream_status != 401 or not await self._credentials.renew(
                found.credential, outgoing
            ):
                raise
        outgoing = await self._dress(found, found.credential, request, headers, limits)
        return await self._through(found, candidate, outgoing, limits)

    async def _dress(
        self,
        found: ResolvedAction,
        credential: LoadedCredential,
        request: PreparedRequest,
        headers: Mapping[str, str],
        limits: Limits,
    ) -> AuthenticatedRequest:
        """The request with its credential; waiting for a token does not count as a slow call."""
        return await self._credentials.authenticate_request(
            credential,
            request,
            headers,
            seconds=max(limits.deadline - self._clock(), 0.0),
            actor=limits.actor,
            subject=found.known_as or found.service,
            ca_bundle=found.wire.ca_bundle,
        )

    async def _through(
        self,
        found: ResolvedAction,
        candidate: Endpoint,
        outgoing: AuthenticatedRequest,
        limits: Limits,
    ) -> tuple[int, Any]:
        """Send if the circuit of the instance lets it through. Raises: CallRefused, CallError."""
        if self._clock() >= limits.deadline:
            raise NoTimeLeftError(
                f"'{found.service}' was not called: its deadline was over before anything could be"
                " sent.",
                service=found.service,
                instance=candidate.url,
                action=found.action,
            )
        profile = candidate.profile
        if profile is None:
            return await self._send(found, candidate, outgoing, limits)
        breaker = self._circuits.breaker(candidate.id, profile)
        return await breaker.call_async(
            self._send,
            found,
            candidate,
            outgoing,
            limits,
            deadline_seconds=max(limits.deadline - self._clock(), 0.0),
            slow_seconds=max(profile.timeout_seconds, limits.given_seconds or 0.0),
        )

    async def _send(
        self,
        found: ResolvedAction,
        candidate: Endpoint,
        outgoing: AuthenticatedRequest,
        limits: Limits,
    ) -> tuple[int, Any]:
        seconds = max(limits.deadline - self._clock(), 0.0)
        try:
            status, output = await self._transport.send(
                found,
                candidate,
                outgoing.request,
                outgoing.headers,
                seconds,
                tls=outgoing.tls,
                mask=outgoing.mask,
            )
        except CallError as error:
            raise outgoing.masked(error) from None
        return status, outgoing.mask.value(output)

    @staticmethod
    def _check_output(found: ResolvedAction, candidate: Endpoint, output: Any) -> None:
        problems = found.output_schema.problems(output)
        if problems:
            raise ServiceResponseError(
                f"The answer of '{found.service}' does not fit the output schema of"
                f" '{found.action}': {first_of(problems)}",
                errors=problems,
                service=found.service,
                instance=candidate.url,
                action=found.action,
            )

    def in_database(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Begin what waits for the database, off this loop."""
        return self._threads.run(function, *args)

    async def probe(self, urls: Sequence[str]) -> list[Probe]:
        """Ask health URLs at once, in their order."""
        return await self._transport.probe(urls)

    async def close(self) -> None:
        """Record what is still to be recorded, and close the pooled connections."""
        try:
            await self._limiter.close()
            await self._circuits.close()
            await self._credentials.close()
        finally:
            await self._transport.close()
            self._threads.close()


def _all_open(found: ResolvedAction, refused: Sequence[CallRefused]) -> CircuitOpenError:
    seconds = min(error.retry_after for error in refused)
    many = (
        f"the circuits of all {len(refused)} instances are"
        if len(refused) > 1
        else "its circuit is"
    )
    return CircuitOpenError(
        f"'{found.service}' is not called: {many} open. {refused[0]}",
        retry_after=seconds,
        service=found.service,
        instance=found.candidates[0].url if len(found.candidates) == 1 else "",
        action=found.action,
    )
