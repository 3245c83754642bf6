"""Takes credentials, connections and integrations, through the same rules as over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction

from core.exceptions import IntegrationError
from core.failpoints import failpoint
from core.identifiers import id_of_text
from integration_site.adoption.conversion.connected import (
    SECRET_COLUMNS,
    Fields,
    connection_fields,
    credential_fields,
    integration_fields,
    secret_columns,
)
from integration_site.adoption.conversion.executions import ACTOR
from integration_site.adoption.conversion.values import Cells
from integration_site.adoption.plan import Adoption, StepCounter
from integration_site.adoption.record import DONE
from registry.connections.lifecycle import ConnectionEditor, create_connection
from registry.credentials.lifecycle import create_credential
from registry.integrations.lifecycle import create_integration
from registry.models import Connection, Credential, Integration, Service
from registry.models.integration import IntegrationStatus

PLAIN = "plain-secret"


def take_credentials(adoption: Adoption) -> None:
    """Take credentials, their secrets into the vault; the plain ones stay until that is agreed."""
    counter = StepCounter.resume(adoption.record, "credentials")

    def make(cells: Cells) -> Any:
        fields = credential_fields(cells)
        fields["name"] = _free_name(Credential, fields["name"], cells)
        credential = create_credential(fields, actor=ACTOR)
        if "secret" in fields:
            adoption.record.add_rows(PLAIN, [cells.row.get("id") or ""])
            reason = "its secret is in the vault; --apply --confirm empties it here"
            cells.notes.mended(", ".join(secret_columns(cells)), reason)
        return credential

    _take(adoption, counter, "credential", make)


def blank_secrets(adoption: Adoption) -> int:
    """Empty the plain secrets that are in the vault; return of how many credentials."""
    ids = adoption.record.texts(PLAIN)
    for each in adoption.of("credential"):
        columns = [name for name in SECRET_COLUMNS if each.table.column(name)]
        if ids and columns:
            adoption.source.blank(each.table, columns, ids)
    return len(ids)


def _free_name(model: Any, name: str, cells: Cells) -> str:
    """Return a name that no other row has."""
    free, number = name, 1
    while model.objects.find(free) is not None:
        number += 1
        free = f"{name[:90]}-{number}"
    if free != name:
        cells.notes.mended("name", f"another has the name '{name}'; taken as '{free}'")
    return free


def take_connections(adoption: Adoption) -> None:
    counter = StepCounter.resume(adoption.record, "connections")
    names = _names(adoption, "credential", Credential)
    editor = ConnectionEditor(actor=ACTOR)

    def make(cells: Cells) -> Any:
        fields = connection_fields(cells, names)
        fields["name"] = _free_name(Connection, fields["name"], cells)
        return create_connection(fields, editor)

    _take(adoption, counter, "connection", make)


def take_integrations(adoption: Adoption) -> None:
    """Take integrations; one that names nothing to be called is kept as a draft."""
    counter = StepCounter.resume(adoption.record, "integrations")
    names = _service_names(adoption)

    def make(cells: Cells) -> Any:
        fields = integration_fields(cells, names)
        fields["name"] = _free_name(Integration, fields["name"], cells)
        return _create_integration(fields, cells)

    _take(adoption, counter, "integration", make)


def _create_integration(fields: Fields, cells: Cells) -> Any:
    try:
        with transaction.atomic():
            return create_integration(fields)
    except IntegrationError as refused:
        target = fields["target"]
        if not target["service"] or not target["action"]:
            raise
        cells.notes.mended("config", f"{refused.message} Kept as a DRAFT")
        return create_integration({**fields, "status": IntegrationStatus.DRAFT})


def _take(
    adoption: Adoption, counter: StepCounter, kind: str, make: Callable[[Cells], Any]
) -> None:
    with transaction.atomic():
        for cells in adoption.cells(kind):
            counter.add("read")
            try:
                with transaction.atomic():
                    row = make(cells)
                    adoption.record.add_rows(kind, [row.pk])
                    adoption.record.add_rows(f"{kind}:{cells.row.get('id')}"[:100], [row.pk])
                counter.add("taken")
                counter.add("mended", bool(cells.notes.findings))
            except (IntegrationError, PermissionDenied) as refused:
                cells.notes.left(_reason(refused))
                counter.add("left")
            counter.findings += cells.notes
        failpoint("M4", counter.step.name)
        counter.store(adoption.record, state=DONE)
    if counter.counts:
        adoption.say(f"{counter.step.name:<14} {counter.counts.get('taken', 0):,} of"
                     f" {counter.counts['read']:,} rows")  # fmt: skip


def _reason(refused: Exception) -> str:
    details = getattr(refused, "details", {}).get("errors") or {}
    listed = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in details.items())
    return listed or getattr(refused, "message", str(refused))


def _names(adoption: Adoption, kind: str, model: Any) -> dict[str, str]:
    """Return the names of rows by their names, and by the ids that they had."""
    names = {name: name for name in model.objects.values_list("name", flat=True)}
    by_id = {str(key): name for key, name in model.objects.values_list("pk", "name")}
    made = adoption.record.made_of(kind)
    return names | {earlier: by_id[key] for earlier, key in made.items() if key in by_id}


def _service_names(adoption: Adoption) -> dict[str, str]:
    """Return the names of services by the identifiers and names that they had."""
    names = dict(Service.objects.values_list("name", "name"))
    by_id = {row.pk: row.name for row in Service.objects.only("name")}
    places = Service.objects.filter(instances__isnull=False)
    by_id |= dict(places.values_list("instances__id", "name"))
    for cells in adoption.cells("registered_service"):
        for column in ("service_id", "id"):
            identifier = cells.row.get(column) or ""
            name = by_id.get(id_of_text(cells.row.get("service_id") or identifier))
            if name:
                names[identifier] = name
    return names
