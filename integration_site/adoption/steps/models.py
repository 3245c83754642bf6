"""Takes models, requests to them, and the quotas of their providers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from django.db import transaction

from core.db.clock import database_now
from core.exceptions import ValidationFailed
from core.failpoints import failpoint
from integration_site.adoption.bulk_rows import insert_bulk
from integration_site.adoption.conversion.executions import ACTOR
from integration_site.adoption.conversion.models import (
    ADDRESSES,
    as_model,
    convert_budgets,
    convert_models,
    convert_price,
    convert_quotas,
    convert_request,
    spent,
    used,
)
from integration_site.adoption.conversion.values import Cells, key_text
from integration_site.adoption.findings import Notes
from integration_site.adoption.plan import Adoption, StepCounter
from integration_site.adoption.progress import StepProgress
from integration_site.adoption.record import BEGUN, DONE
from integration_site.adoption.steps.services import count_rows
from model_orchestration.catalog import limit_of_budget, limits_of_quota
from model_orchestration.limits import Limit
from model_orchestration.models import (
    Model,
    ModelBudget,
    ModelProvider,
    ProviderQuota,
    QuotaWindow,
    Request,
)
from registry.connections.lifecycle import ConnectionEditor, create_connection
from registry.models import Connection
from registry.services.lifecycle import check_row

BATCH = 2000
_KINDS = ("model", "ai_model", "provider_quota", "model_budget")


def take_models(adoption: Adoption) -> None:
    """Take models, each with a connection to its provider, quotas of providers, and budgets."""
    counter = StepCounter.resume(adoption.record, "models")
    with transaction.atomic():
        rows = {kind: list(adoption.cells(kind)) for kind in _KINDS}
        _take_models(adoption, rows["model"], rows["ai_model"])
        now = database_now()
        for quota, cells in convert_quotas(rows["provider_quota"]).values():
            _store_quota(adoption, quota, cells, now=now)
        for budget, cells in convert_budgets(rows["model_budget"]).values():
            _store_budget(adoption, budget, cells, now=now)
        for kind, found in rows.items():
            count_rows(counter, found, kind)
        failpoint("M4", "models")
        counter.store(adoption.record, state=DONE)
    if told := [f"{len(found):,} of {kind}" for kind, found in rows.items() if found]:
        adoption.say(f"{'models':<14} {', '.join(told)}")


def _take_models(adoption: Adoption, rows: list[Cells], older: list[Cells]) -> None:
    """Take models of both tables; where both have one, that of `model`."""
    priced = {id(cells.notes): cells for cells in older}
    for model, cells in convert_models([*rows, *map(as_model, older)]).values():
        if not _store_model(adoption, model, cells) or id(cells.notes) not in priced:
            continue
        price = convert_price(priced[id(cells.notes)], model)
        if price is not None:
            price.save(force_insert=True)


def _store_model(adoption: Adoption, model: Model, cells: Cells) -> bool:
    """Store a model; return False where it is left."""
    if Model.objects.find(model.name) or Model.objects.filter(pk=model.pk).exists():
        cells.notes.left("the hub has a model of this id already")
        return False
    model.connection = _connection_to(adoption, model.provider)
    try:
        check_row(model)
    except ValidationFailed as refused:
        cells.notes.left(refused.message)
        return False
    if model.connection.credential_id is None:
        name = model.connection.name
        cells.notes.mended("provider", f"its connection '{name}' has no credential yet")
    model.save(force_insert=True)
    adoption.record.add_rows("model", [model.pk])
    return True


def _connection_to(adoption: Adoption, provider: str) -> Connection:
    """Return the connection that models of a provider have, or a new one without a secret."""
    name = f"earlier-{provider.lower()}"
    same = Model.objects.filter(provider=provider).select_related("connection").first()
    connection = same.connection if same else Connection.objects.find(name)
    if connection is None:
        fields = {
            "name": name, "type": "HTTP", "base_url": ADDRESSES[ModelProvider(provider)],
            "description": "Made for models of the earlier system: give it a credential.",
            "check_interval_seconds": 0,
        }  # fmt: skip
        connection = create_connection(fields, ConnectionEditor(actor=ACTOR))
        adoption.record.add_rows("connection", [connection.pk])
    return connection


def _store_quota(adoption: Adoption, quota: ProviderQuota, cells: Cells, *, now: datetime) -> None:
    if ProviderQuota.objects.filter(provider=quota.provider).exists():
        cells.notes.left(f"the hub has a quota of {quota.provider} already")
        return
    quota.save(force_insert=True)
    adoption.record.add_rows("quota", [quota.pk])
    counted = cells.time("updated_at") or cells.time("created_at") or now
    for limit in limits_of_quota(quota):
        _store_used(adoption, limit, used(cells, limit.period), counted, now=now)


def _store_budget(adoption: Adoption, budget: ModelBudget, cells: Cells, *, now: datetime) -> None:
    if ModelBudget.objects.find(budget.name):
        cells.notes.left(f"the hub has a budget '{budget.name}' already")
        return
    try:
        check_row(budget)
    except ValidationFailed as refused:
        cells.notes.left(refused.message)
        return
    budget.save(force_insert=True)
    adoption.record.add_rows("budget", [budget.pk])
    counted = cells.time("updated_at") or cells.time("last_reset") or now
    _store_used(adoption, limit_of_budget(budget), (0, spent(cells)), counted, now=now)


def _store_used(
    adoption: Adoption, limit: Limit, used: tuple[int, int], counted: datetime, *, now: datetime
) -> None:
    """Store how many tokens and nanodollars were used, if that day or month still lasts."""
    window = limit.window(now)
    if not window.starts_at <= counted < window.ends_at or not any(used):
        return
    _, is_new = QuotaWindow.objects.get_or_create(
        id=window.id,
        defaults={
            "series": window.series, "starts_at": window.starts_at, "ends_at": window.ends_at,
            "used_tokens": used[0], "used_nanousd": used[1],
        },
    )  # fmt: skip
    adoption.record.add_rows("window", [window.id] if is_new else [])


def take_requests(adoption: Adoption) -> None:
    """Take requests in batches, in the order of their ids."""
    counter = StepCounter.resume(adoption.record, "requests")
    progress = StepProgress(
        "requests", adoption.total("request"), adoption.say, done=counter.counts.get("read", 0)
    )
    rows = _requests(adoption, after=counter.step.last_key)
    while batch := list(islice(rows, BATCH)):
        with transaction.atomic():
            _take_batch(adoption, batch, counter)
            failpoint("M4", "requests")
            last = key_text(batch[-1].row, "request_id")
            counter.store(adoption.record, state=BEGUN, last_key=last)
        failpoint("M5", "requests")
        progress.advance(len(batch))
    counter.store(adoption.record, state=DONE)
    if progress.total:
        progress.finish()


def _requests(adoption: Adoption, *, after: str | None) -> Iterator[Cells]:
    for each in adoption.of("request"):
        for row in adoption.source.rows(each.table, order=("request_id", "id"), after=after):
            yield Cells(row, Notes("request", key_text(row, "request_id")), adoption.zone)


def _take_batch(adoption: Adoption, batch: Iterable[Cells], counter: StepCounter) -> None:
    keyed = [(key_text(cells.row, "request_id")[:128], cells) for cells in batch]
    stored = Request.objects.filter(request_id__in=[key for key, _ in keyed])
    present = set(stored.values_list("request_id", flat=True))
    new = []
    for key, cells in keyed:
        counter.add("read")
        if key in present:
            cells.notes.left("there is a request with this id already")
            counter.add("left")
        else:
            present.add(key)
            new.append({**convert_request(cells), "request_id": key})
            counter.add("taken")
            counter.add("mended", bool(cells.notes.findings))
        counter.findings += cells.notes
    insert_bulk(Request, new)
    adoption.record.add_rows("request", [row["id"] for row in new])
