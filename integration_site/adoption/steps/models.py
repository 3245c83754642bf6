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
    convert_models,
    convert_quotas,
    convert_request,
    used,
)
from integration_site.adoption.conversion.values import Cells, key_text
from integration_site.adoption.findings import Notes
from integration_site.adoption.plan import Adoption, StepCounter
from integration_site.adoption.progress import StepProgress
from integration_site.adoption.record import BEGUN, DONE
from integration_site.adoption.steps.services import count_rows
from model_orchestration.catalog import limits_of_quota
from model_orchestration.models import Model, ModelProvider, ProviderQuota, QuotaWindow, Request
from registry.connections.lifecycle import ConnectionEditor, create_connection
from registry.models import Connection
from registry.services.lifecycle import check_row

BATCH = 2000


def take_models(adoption: Adoption) -> None:
    """Take models, each with a connection to its provider, and the quotas of providers."""
    counter = StepCounter.resume(adoption.record, "models")
    with transaction.atomic():
        rows = list(adoption.cells("model"))
        for model in convert_models(rows).values():
            cells = next(each for each in rows if _is_of(each, model))
            _store_model(adoption, model, cells)
        quotas = list(adoption.cells("provider_quota"))
        now = database_now()
        for quota, cells in convert_quotas(quotas).values():
            _store_quota(adoption, quota, cells, now=now)
        count_rows(counter, rows, "model")
        count_rows(counter, quotas, "provider_quota")
        failpoint("M4", "models")
        counter.store(adoption.record, state=DONE)
    if rows or quotas:
        adoption.say(f"{'models':<14} {len(rows):,} models, {len(quotas):,} quotas")


def _is_of(cells: Cells, model: Model) -> bool:
    return not any(f.verdict == "LEFT" for f in cells.notes) and (
        cells.row.get("id") == str(model.pk) or cells.text("model_id") == model.name
    )


def _store_model(adoption: Adoption, model: Model, cells: Cells) -> None:
    if Model.objects.find(model.name) or Model.objects.filter(pk=model.pk).exists():
        cells.notes.left("the hub has a model of this id already")
        return
    model.connection = _connection_to(adoption, model.provider)
    try:
        check_row(model)
    except ValidationFailed as refused:
        cells.notes.left(refused.message)
        return
    if model.connection.credential_id is None:
        name = model.connection.name
        cells.notes.mended("provider", f"its connection '{name}' has no credential yet")
    model.save(force_insert=True)
    adoption.record.add_rows("model", [model.pk])


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
        window = limit.window(now)
        tokens, nanos = used(cells, limit.period)
        if not window.starts_at <= counted < window.ends_at or not (tokens or nanos):
            continue  # of a day or month that is over
        _, is_new = QuotaWindow.objects.get_or_create(
            id=window.id,
            defaults={
                "series": window.series, "starts_at": window.starts_at, "ends_at": window.ends_at,
                "used_tokens": tokens, "used_nanousd": nanos,
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
