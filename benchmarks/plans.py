"""Measures sweeps and lists beside much that has ended: `./dev bench plans`.

The same statements at a thousand and at a million finished executions, in a throw-away PostgreSQL:
the pages that each touches, its time, and its plan.
"""

from __future__ import annotations

import argparse
import base64
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.testbed.django_setup import set_up_migrated
from benchmarks.testbed.finished_executions import fill_finished, finished_id, make_workflow
from benchmarks.testbed.printing import say
from benchmarks.testbed.query_plans import Plan, capture, explain, list_page, sweep_once
from benchmarks.testbed.report import markdown_table
from tests.support import servers

DUE_STEPS = 20
# A small table is read whole; in a big one, each of the fifty rows of a page is looked up at three
# or four pages. What reads a million rows touches twenty thousand.
GROWTH, SPARE_PAGES = 2.0, 250
WRITES = re.compile(r"\b(UPDATE|INSERT|DELETE) (?:INTO |FROM )?\"?(workflow_\w+)")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench plans", description=__doc__)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--plans", action="store_true", help="print every plan too")
    options = parser.parse_args(arguments)
    if missing := servers.missing_servers():
        say(f"PostgreSQL is needed: {missing}.")
        return 1
    with servers.start_postgres() as server, tempfile.TemporaryDirectory() as directory:
        workflow = prepare_database(server, directory)
        fill_finished(workflow, first=1, last=options.few)
        few = measure(options.few)
        fill_finished(workflow, first=options.few + 1, last=options.many)
        many = measure(options.many)
    return print_comparison(few, many, options)


def prepare_database(server: servers.Postgres, directory: str) -> Any:
    """Make a migrated database with a workflow and some steps that are due; return the workflow."""
    server.create_database("plans")
    set_up_migrated({"DATA_DIR": directory, "ALLOWED_HOSTS": "*", **server.environment("plans")})
    from workflows import services as workflow_services

    workflow = make_workflow("plans")
    start = workflow_services.Start(input={}, context={})
    for _ in range(DUE_STEPS):
        workflow_services.start_execution(workflow, start)
    return workflow


def measure(rows: int) -> dict[str, Plan]:
    """Return the plan of each statement, by what asks for it and its number there."""
    actions = {
        "sweep": sweep_once,
        "first page": lambda: list_page(""),
        "middle page": lambda: list_page(cursor_after(rows // 2)),
        "last page": lambda: list_page(cursor_after(25)),
    }
    return {
        f"{name}, {number}": explain(statement)
        for name, action in actions.items()
        for number, statement in enumerate(capture(action), 1)
    }


def cursor_after(number: int) -> str:
    return base64.urlsafe_b64encode(finished_id(number).encode()).decode().rstrip("=")


def print_comparison(
    few: Mapping[str, Plan], many: Mapping[str, Plan], options: argparse.Namespace
) -> int:
    head = ("", "statement", *(f"{n:,}" for n in (options.few, options.many)), "ms", "ms", "")
    say(f"Pages of 8 kB and milliseconds, beside {options.few:,} and {options.many:,} finished:\n")
    say("\n".join(markdown_table(head, [list(line_of(name, few, many)) for name in many])))
    grown = [name for name in many if has_grown(few.get(name), many[name])]
    say("\n" + (f"It grows: {', '.join(grown)}." if grown else "No statement grows."))
    if options.plans:
        for name in many:
            say(f"\n{name}: {options.few:,}\n\n```\n{few[name].text}\n```")
            say(f"\n{name}: {options.many:,}\n\n```\n{many[name].text}\n```")
    return 1 if grown else 0


def line_of(name: str, few: Mapping[str, Plan], many: Mapping[str, Plan]) -> Iterator[str]:
    before, after = few[name], many[name]
    yield from (name, summary(after.sql), f"{before.pages:,}", f"{after.pages:,}")
    yield from (f"{before.milliseconds:.2f}", f"{after.milliseconds:.2f}")
    yield "grows" if has_grown(before, after) else "flat"


def has_grown(few: Plan | None, many: Plan) -> bool:
    return few is None or many.pages > few.pages * GROWTH + SPARE_PAGES


def summary(sql: str) -> str:
    """Return what a statement does, in a few words."""
    if sql.startswith("WITH") and (written := WRITES.search(sql)):
        return " ".join(written.groups())
    words = sql.replace('"', "").replace("KEY UPDATE", "").split()
    tables = [
        w.rstrip(",") for w in words if w.rstrip(",").startswith("workflow_") and "." not in w
    ]
    verbs = [w for w in words if w in ("SELECT", "UPDATE", "INSERT", "DELETE")]
    return f"{verbs[0]} {tables[0] if tables else ''}"


if __name__ == "__main__":
    sys.exit(main())
