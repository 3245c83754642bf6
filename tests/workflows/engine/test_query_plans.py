"""What has ended costs sweeps and lists nothing: the databases use the narrow indexes."""

import base64

import pytest
from django.db import connection

from benchmarks.testbed.finished_executions import fill_finished, finished_id
from benchmarks.testbed.query_plans import capture, explain, list_page, sweep_once
from workflows import services

FINISHED = 4000
DUE = 3
WATCHED = ("workflow_step", "workflow_execution", "workflow_event")


@pytest.fixture
def filled(db):
    document = {"steps": [{"id": "step-0", "type": "TRANSFORM", "output": {}}]}
    made = services.create_workflow({"name": "many"}, document, actor="test")
    workflow = services.get_workflow(str(made.pk))
    for _ in range(DUE):
        services.start_execution(workflow, services.Start(input={}, context={}))
    fill_finished(workflow, first=1, last=FINISHED)


def whole_tables(statement) -> list[str]:
    """The tables that the database reads from one end to the other for a statement."""
    if connection.vendor == "postgresql":
        return [table for table in explain(statement).whole_tables if table in WATCHED]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)
        lines = [row[3] for row in cursor.fetchall()]
    # SCAN with an index walks it in order, bounded by the LIMIT.
    aliases = {*WATCHED, "s", "e"}
    return [
        line.split()[1]
        for line in lines
        if line.startswith("SCAN ") and line.split()[1] in aliases and " USING " not in line
    ]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(sweep_once, id="sweep"),
        pytest.param(lambda: list_page(""), id="first page"),
        pytest.param(
            lambda: list_page(base64.urlsafe_b64encode(finished_id(30).encode()).decode()),
            id="last page",
        ),
    ],
)
def test_no_table_of_what_ended_is_read_whole(filled, action):
    statements = capture(action)
    assert statements
    assert {s.sql: whole_tables(s) for s in statements} == {s.sql: [] for s in statements}


def test_the_claim_is_among_what_a_sweep_sends(filled):
    assert any("UPDATE workflow_step" in s.sql for s in capture(sweep_once))


def test_whole_table_is_noticed(filled):
    with connection.cursor() as cursor:
        statements = capture(
            lambda: cursor.execute(
                "SELECT * FROM workflow_step WHERE started_at > %s", ["2000-01-01"]
            )
        )
    assert whole_tables(statements[0])
