"""The SQL of a transition: what is written once a step has ended, at either speed.

The general path (`Recorder`) sends these statements one by one, on both databases; the fast path
sends them on PostgreSQL as the parts of one. Rows come as `v`, a table expression of one JSON
parameter; `stamp` is the time of writing.
"""

from __future__ import annotations

from workflows.engine.store.dialect import PostgresDialect
from workflows.engine.store.step_columns import INSERTED, SETTLED

OUTCOMES = (*SETTLED, "ends")
FOLLOWERS = ("after", *INSERTED)
EVENTS = ("id", "execution_id", "sequence", "kind", "payload")
ENDS = ("execution_id", "status", "output", "errors", "sequence")
# Of the fast path, which numbers the event itself.
ENDS_AFTER = ("after", "id", "execution_id", "status", "output", "errors", "payload")
_POSTGRES = PostgresDialect()
# The fence is written too: the same number, unless a stale holder gets here, and then
# check_invariants sees it. A row that waits now has outlived its worker: it leaves the quarantine.
_SETTLED_SETS = ", ".join(f"{column} = v.{column}" for column in SETTLED if column != "id")


def lock_executions(among: str, lock: str) -> str:
    """Lock the executions of a batch, in the order in which every other writer does."""
    return f"""
    SELECT id, status, last_sequence, queued_at IS NOT NULL, parent_step_id IS NOT NULL
    FROM workflow_execution WHERE {among} ORDER BY id {lock}"""


def settle(outcomes: str, where: str) -> str:
    """Write the outcomes `v` into the rows that are still held under the fence that they name."""
    # Not to be looked up in the index of all that run: it is known which these are.
    return f"""
    UPDATE workflow_step
    SET {_SETTLED_SETS}, updated_at = %(stamp)s, lease_owner = '', lease_until = NULL,
      deaths = CASE WHEN v.status IN ('PENDING', 'WAITING') THEN 0 ELSE workflow_step.deaths END
    FROM {outcomes}
    WHERE workflow_step.id = v.id AND workflow_step.fence = v.fence
      AND (workflow_step.status = 'RUNNING') IS TRUE{where}"""


def insert_steps(rows: str, where: str = "") -> str:
    """Insert the rows `v`."""
    return f"""
    INSERT INTO workflow_step ({", ".join(INSERTED)}, created_at, updated_at, deaths)
    SELECT {", ".join(f"v.{column}" for column in INSERTED)}, %(stamp)s, %(stamp)s, 0
    FROM {rows}{where}"""


def end_executions(ends: str, where: str = "") -> str:
    """End the executions that `v` names."""
    return f"""
    UPDATE workflow_execution
    SET status = v.status, output = v.output, errors = v.errors, last_sequence = v.sequence,
      completed_at = %(stamp)s, updated_at = %(stamp)s
    FROM {ends} WHERE workflow_execution.id = v.execution_id{where}"""


def append_events(events: str) -> str:
    """Append the events `v` to the history."""
    return f"""
    INSERT INTO workflow_event ({", ".join(EVENTS)}, created_at, updated_at, actor)
    SELECT {", ".join(f"v.{column}" for column in EVENTS)}, %(stamp)s, %(stamp)s, 'engine'
    FROM {events}"""


def transition_in_one(*, follows: bool, ends: bool) -> str:
    """Settle steps, and insert what follows or end the execution, by one statement of PostgreSQL.

    Executions first, as every other writer locks them; one that is held is not gone on with.
    PostgreSQL expects one row of a CTE and would join two by looking at all pairs: arrays tie the
    parts together. They are also what locks all executions before a step is touched.
    """
    held = f"""
      AND {_POSTGRES.among("workflow_step.id", "steps")}
      AND (workflow_step.execution_id = ANY(ARRAY(SELECT id FROM locked))) IS TRUE
      AND NOT (v.ends AND workflow_step.execution_id =
        ANY(ARRAY(SELECT id FROM locked WHERE parent_step_id IS NOT NULL)))"""
    settled = "WHERE v.after = ANY(ARRAY(SELECT id FROM settled))"
    parts = [
        f"""locked AS (
    SELECT id, last_sequence, parent_step_id FROM workflow_execution
    WHERE {_POSTGRES.among("id", "executions")} AND status <> 'PAUSED' AND queued_at IS NULL
    ORDER BY id FOR NO KEY UPDATE)""",
        f"settled AS ({settle(_POSTGRES.rows(OUTCOMES, 'outcomes'), held)}"
        "\n    RETURNING workflow_step.id)",
    ]
    if follows:
        followers = _POSTGRES.rows(FOLLOWERS, "followers")
        parts.append(f"followers AS ({insert_steps(followers, f' {settled}')})")
    if ends:
        parts += [
            f"""ending AS MATERIALIZED (
    SELECT v.*, v.status AS kind, locked.last_sequence + 1 AS sequence
    FROM {_POSTGRES.rows(ENDS_AFTER, "ends")} JOIN locked ON locked.id = v.execution_id
    {settled})""",
            f"ended AS ({end_executions('ending v')})",
            f"told AS ({append_events('ending v')})",
        ]
    return f"WITH {', '.join(parts)}\nSELECT id FROM settled"
