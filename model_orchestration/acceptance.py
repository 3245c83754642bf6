"""Admits requests: chooses the models that may serve one, reserves its cost, and stores its row.

Those that come together are admitted in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core.db.rows import insert_rows
from core.db.uuid7 import uuid7
from core.exceptions import IntegrationError
from model_orchestration.adapters.base import ModelCall
from model_orchestration.catalog import Catalog, current_catalog
from model_orchestration.choosing import RoutePlan, Target, Wish
from model_orchestration.contents import USUAL_RULES, ContentRules
from model_orchestration.exceptions import (
    BudgetExceeded,
    ContextTooLong,
    InvalidModelRequest,
    PriceMissing,
    RateExceeded,
)
from model_orchestration.limits import (
    MINUTE,
    Bound,
    Hold,
    Limit,
    Spender,
    holds_of,
    needs_price,
    summed,
)
from model_orchestration.models import Request, RequestState
from model_orchestration.models.fields import nanos_of, usd_of
from model_orchestration.models.request import LONGEST_REASON
from model_orchestration.pricing import bound_of
from model_orchestration.qualities import qualities_at
from model_orchestration.requirements import FIELD
from model_orchestration.reservations import open_windows, reserve, reserve_for
from model_orchestration.sizes import input_bound, input_estimate, usage_bound

# After the deadline of a request, how long its process may take to settle it.
LEASE_MARGIN = timedelta(seconds=60)
# What a model answers with at most, where a budget has to know and nobody said.
DEFAULT_OUTPUT_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Purpose:
    """Who asks, and what for."""

    spender: Spender
    task_id: str = ""
    task_type: str = ""

    @property
    def actor(self) -> str:
        return self.spender.caller or "models"


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request that may be sent: `most_output` is what it is told to answer with at most."""

    id: UUID
    asked: str
    call: ModelCall
    plan: RoutePlan
    purpose: Purpose
    admitted_at: datetime
    most_output: dict[str, int | None] = field(default_factory=dict)
    estimated_input: int = 0
    warnings: tuple[str, ...] = ()
    content: ContentRules = USUAL_RULES

    @property
    def request_id(self) -> str:
        return str(self.id)


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """What somebody asks of the model or route that is called `asked`."""

    call: ModelCall
    asked: str
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class _Planned:
    """A request that is to be admitted: what its models can use, and what it holds of windows."""

    accepted: AcceptedRequest
    bounds: Sequence[Bound]
    holds: Sequence[Hold]


Admission = AcceptedRequest | IntegrationError


def admit(call: ModelCall, asked: str, purpose: Purpose) -> AcceptedRequest:
    """Choose models for a request, reserve the most that it can use, and store its row.

    Raises:
        ModelError: nothing that was asked for can serve it, or a budget leaves no room for it; that
            is recorded too.
    """
    (outcome,) = admit_many([AskedRequest(call, asked, purpose)])
    if isinstance(outcome, IntegrationError):
        raise outcome
    return outcome


def admit_many(requests: Sequence[AskedRequest]) -> list[Admission]:
    """Do the same for many at once, in their order; the error of each that is refused."""
    catalog, now = current_catalog(), timezone.now()
    outcomes: list[Admission | _Planned] = []
    for request in requests:
        try:
            outcomes.append(_plan(request, catalog, now))
        except IntegrationError as error:
            outcomes.append(error)
    planned = [each for each in outcomes if isinstance(each, _Planned)]
    admitted = iter(_reserve_all(planned))
    return [next(admitted) if isinstance(each, _Planned) else each for each in outcomes]


def _plan(request: AskedRequest, catalog: Catalog, now: datetime) -> _Planned:
    call, purpose = request.call, request.purpose
    estimate = input_estimate(call)
    required = call.requirements
    asks_for_quality = required is not None and required.asks_for_quality
    qualities = qualities_at(purpose.task_type) if asks_for_quality else {}
    wish = Wish(estimate, call.stream, required, qualities)
    plan = catalog.choices.plan(request.asked, call.request_type, wish)
    _refuse_too_long(plan.targets, estimate)
    plan, most_output, bounds = _bounded(call, plan, catalog, purpose.spender)
    accepted = AcceptedRequest(
        uuid7(),
        request.asked,
        call,
        plan,
        purpose,
        now,
        most_output,
        estimate,
        tuple(_deprecations(plan.targets[:1])),
        catalog.content_of(purpose.spender.project_id),
    )
    holds = holds_of(catalog.limits, purpose.spender, bounds, now)
    if not holds:  # nothing bounds it: nor is it told how much it may answer
        accepted = replace(accepted, most_output=_own_limits(accepted))
    return _Planned(accepted, bounds, holds)


def _refuse_too_long(targets: Sequence[Target], estimate: int) -> None:
    """Refuse what no model takes. Raises: ContextTooLong."""
    limits = [target.token_limit for target in targets]
    if all(limit is not None and estimate > limit for limit in limits):
        longest = max(limit or 0 for limit in limits)
        raise ContextTooLong(
            f"The input has about {estimate} tokens; '{targets[0].model}' takes {longest}.",
            param="messages",
        )


def _bounded(
    call: ModelCall, plan: RoutePlan, catalog: Catalog, spender: Spender
) -> tuple[RoutePlan, dict[str, int | None], list[Bound]]:
    """Return what each model can use at most, without those that cannot be held to a limit.

    Raises:
        PriceMissing: that leaves none.
        InvalidModelRequest: all may cost more than the caller wants to pay.
    """
    most_cost = call.requirements.max_cost if call.requirements else None
    too_dear: Bound | None = None
    kept: list[Target] = []
    bounds: list[Bound] = []
    outputs: dict[str, int | None] = {}
    unpriced: tuple[Target, Limit] | None = None
    size = input_bound(call)
    for target in plan.targets:
        own = call.including(target.defaults)
        most, told = usage_bound(own, target, size, default_output=DEFAULT_OUTPUT_TOKENS)
        price = target.price
        priced = price is not None and price.covers(most)
        cost = bound_of(price, most) if price is not None and priced else None
        bound = Bound(target.model, target.provider, most.total_tokens, cost)
        if limit := needs_price(catalog.limits, spender, bound):
            unpriced = unpriced or (target, limit)
            continue
        if most_cost is not None and (cost is None or cost > nanos_of(most_cost)):
            too_dear = too_dear or bound
            continue
        kept.append(target)
        bounds.append(bound)
        outputs[target.model] = told
    if unpriced and not kept:
        raise PriceMissing(
            f"'{unpriced[0].model}' has no price, and '{unpriced[1].name}' bounds what may be"
            " spent. An operator has to say what it costs.",
            model=unpriced[0].model,
        )
    if too_dear and not kept:
        amount = "any amount" if too_dear.nanousd is None else f"{usd_of(too_dear.nanousd)} USD"
        raise InvalidModelRequest.at(
            f"{FIELD}.max_cost",
            f"'{too_dear.model}' may cost {amount}, and all others more than that too. Allow fewer"
            " tokens of output, or more money.",
        )
    return replace(plan, targets=tuple(kept)), outputs, bounds


def _reserve_all(planned: Sequence[_Planned]) -> list[Admission]:
    """Reserve what these hold, and store them: together if all of it fits, or one after the other.

    So who comes first is served first where not all can be.
    """
    if not planned:
        return []
    holds = summed([hold for each in planned for hold in each.holds])
    if _reserve_together(planned, holds):
        return [each.accepted for each in planned]
    open_windows(holds)
    if len(planned) > 1 and _reserve_together(planned, holds):
        return [each.accepted for each in planned]
    return [_reserve_alone(each) for each in planned]


def _reserve_together(planned: Sequence[_Planned], holds: Sequence[Hold]) -> bool:
    """Return whether all of it fitted into windows that are there; otherwise nothing was done."""
    rows = [_row_of(each.accepted, each.holds, each.bounds) for each in planned]
    return reserve_for(holds, rows)


def _reserve_alone(planned: _Planned) -> Admission:
    try:
        with transaction.atomic():
            fitting = reserve(planned.holds)
            over = [hold for hold in planned.holds if hold.window.id not in fitting]
            admitted = _without(planned.accepted, over)
            held = [hold for hold in planned.holds if hold.window.id in fitting]
            insert_rows(_row_of(admitted, held, planned.bounds))
    except BudgetExceeded as error:
        _record_refusal(planned.accepted, error)
        return error
    return admitted


def _own_limits(accepted: AcceptedRequest) -> dict[str, int | None]:
    return {target.model: target.max_tokens for target in accepted.plan.targets}


def _without(accepted: AcceptedRequest, over: Sequence[Hold]) -> AcceptedRequest:
    """Return the request without the models that are over a limit of their own.

    Raises:
        BudgetExceeded: none is left, or the limit is that of all.
    """
    spent = {model for hold in over for model in hold.models}
    left = tuple(each for each in accepted.plan.targets if each.model not in spent)
    for hold in over:
        if not hold.models or not left:
            raise _exceeded(hold, accepted.admitted_at)
    return replace(accepted, plan=replace(accepted.plan, targets=left))


def _exceeded(hold: Hold, now: datetime) -> BudgetExceeded:
    """Return the refusal of what does not fit: what ran out, and when it is back."""
    limit = next(each for each in hold.limits if each.is_hard)
    reset_at = hold.window.ends_at
    wait = max((reset_at - now).total_seconds(), 1.0)
    if limit.period == MINUTE:
        most = [f"{limit.requests} requests"] if limit.requests is not None else []
        most += [f"{limit.tokens} tokens"] if limit.tokens is not None else []
        return RateExceeded(
            f"'{limit.name}' is sent {' and '.join(most)} in a minute at most.",
            scope=limit.scope,
            reset_at=reset_at.isoformat(),
            retry_after=wait,
        )
    amounts = []
    if limit.nanousd is not None:
        amounts.append(f"{usd_of(limit.nanousd)} USD")
    if limit.tokens is not None:
        amounts.append(f"{limit.tokens} tokens")
    if limit.requests is not None:
        amounts.append(f"{limit.requests} requests")
    period = limit.period.lower()
    if limit.rolling_seconds:
        period = f"{limit.rolling_seconds} seconds"
    return BudgetExceeded(
        f"The budget '{limit.name}' allows {' and '.join(amounts)} in a {period}, and what is left"
        f" is less than the request may use. It is back at {reset_at:%Y-%m-%d %H:%M:%S} UTC.",
        scope=limit.scope,
        budget=limit.name,
        reset_at=reset_at.isoformat(),
        retry_after=wait,
    )


def _deprecations(targets: Sequence[Target]) -> list[str]:
    return [
        f"The model {target.model} is deprecated."
        + (f" Use {target.replacement}." if target.replacement else "")
        for target in targets
        if target.status == "DEPRECATED"
    ]


def _row_of(accepted: AcceptedRequest, holds: Sequence[Hold], bounds: Sequence[Bound]) -> Request:
    plan, purpose = accepted.plan, accepted.purpose
    first, spender = plan.targets[0], purpose.spender
    deadline = accepted.admitted_at + timedelta(seconds=plan.deadline_seconds)
    return Request(
        id=accepted.id,
        request_id=accepted.request_id,
        request_type=accepted.call.request_type,
        model_id=first.model,
        model_asked=accepted.asked[:200],
        route=plan.route,
        choice_reason=plan.reason[:LONGEST_REASON],
        provider=first.provider,
        api_key=spender.key_id,
        caller=spender.caller[:100],
        user_id=spender.user_id,
        project_id=spender.project_id,
        task_id=purpose.task_id,
        task_type=purpose.task_type,
        stream=accepted.call.stream,
        reserved_nanousd=max(bound.nanousd or 0 for bound in bounds),
        reserved_tokens=max(bound.tokens for bound in bounds),
        held=[hold.as_json() for hold in holds],
        lease_until=deadline + LEASE_MARGIN,
        request_data=accepted.content.describe(accepted.call),
    )


def _record_refusal(accepted: AcceptedRequest, error: BudgetExceeded) -> None:
    plan = accepted.plan
    row = _row_of(accepted, [], [Bound(plan.targets[0].model, "", 0, 0)])
    row.state, row.lease_until = RequestState.REFUSED, None
    row.error_code, row.error_message = error.code, error.message[:1000]
    row.completed_at = accepted.admitted_at
    insert_rows(row)


def as_spender(caller: Any, *, project_id: str = "", user_id: str = "") -> Spender:
    """Return whose money a caller of the API spends."""
    return Spender(str(caller.id), str(caller.name), project_id[:100], user_id[:100])
