"""Puts many finished executions into PostgreSQL or SQLite, by the database itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, models, transaction

# Above any id that the hub makes at this time: the last rows of every index are of the filling.
FIRST_ID = "01000000-0000-7000-8000-000000000000"
NUMBERED = {
    "postgresql": "('01000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid",
    "sqlite": "'01000000000070008000' || printf('%%012x', n)",
}
EARLIER = {
    "postgresql": "now() - interval '1 day' + n * interval '{apart} seconds'",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-1 day', (n * {apart}) || ' seconds')",
}
SERIES = {
    "postgresql": "generate_series({first}, {last}) AS n",
    "sqlite": (
        "(WITH RECURSIVE c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c WHERE n < {last})"
        " SELECT n FROM c) AS s"
    ),
}


def finished_id(number: int) -> str:
    """Return the id of the execution, and of its step, with this number from 1 on."""
    return f"{FIRST_ID[:24]}{number:012x}"


def make_workflow(name: str) -> Any:
    """Create a workflow of one step that calls nobody, as those of the filling are."""
    from workflows import services

    document = {"steps": [{"id": "step-0", "type": "TRANSFORM", "output": {}}]}
    services.create_workflow({"name": name}, document, actor="bench")
    return services.get_workflow(name)


def fill_finished(workflow: Any, *, first: int, last: int, apart: float = 0.05) -> None:
    """Insert finished executions with these numbers, each of one finished step.

    They are `apart` seconds from each other, the first a day ago.
    """
    from workflows.models import WorkflowExecution, WorkflowStep

    key, moment = NUMBERED[connection.vendor], EARLIER[connection.vendor].format(apart=apart)
    times = dict.fromkeys(("created_at", "updated_at", "started_at", "completed_at"), moment)
    execution = WorkflowExecution(
        workflow=workflow,
        version=workflow.current_version,
        workflow_name=workflow.name,
        status="COMPLETED",
        output={},
    )
    step = WorkflowStep(
        execution=execution,
        step_id="step-0",
        path="step-0",
        status="COMPLETED",
        input={},
        output={},
    )
    with transaction.atomic():
        _fill(execution, {"id": key, **times}, first=first, last=last)
        _fill(step, {"id": key, "execution_id": key, **times}, first=first, last=last)
    with connection.cursor() as cursor:
        for table in ("workflow_execution", "workflow_step"):
            cursor.execute(f"ANALYZE {table}")


def remove_finished() -> None:
    """Delete what `fill_finished` inserted."""
    with transaction.atomic(), connection.cursor() as cursor:
        for table in ("workflow_step", "workflow_execution"):
            cursor.execute(
                f"DELETE FROM {table} WHERE id >= %s AND id < %s",  # noqa: S608
                [FIRST_ID, f"{FIRST_ID[:19]}8001-000000000000"],
            )


def _fill(template: models.Model, computed: Mapping[str, str], *, first: int, last: int) -> None:
    """Insert copies of a row that is not saved; `computed` columns are SQL of the number `n`."""
    fields: Sequence[Any] = template._meta.concrete_fields
    picked = [computed.get(field.column, "%s") for field in fields]
    values = [_plain(field, template) for field in fields if field.column not in computed]
    columns = ", ".join(field.column for field in fields)
    series = SERIES[connection.vendor].format(first=first, last=last)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {template._meta.db_table} ({columns})"  # noqa: S608
            f" SELECT {', '.join(picked)} FROM {series}",
            values,
        )


def _plain(field: Any, template: models.Model) -> Any:
    value = getattr(template, field.attname)
    if isinstance(field, models.JSONField):
        return None if value is None else json.dumps(value)
    return field.get_db_prep_save(value, connection)
