"""Measures the pages of the admin on a full hub: `./dev bench pages`.

Measured from outside over HTTP, one request after the other, on PostgreSQL and on SQLite. Beside
the milliseconds stands the ratio to the login page of the same round, which needs no rows.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from benchmarks.testbed import servers
from benchmarks.testbed.finished_executions import FIRST_ID, fill_finished, make_workflow
from benchmarks.testbed.fleet import fill_services
from benchmarks.testbed.hub import use_database_of
from benchmarks.testbed.printing import say
from benchmarks.testbed.report import markdown_table
from tests.support.real_hub import Hub, running_hub
from tests.support.servers import missing_servers

LOGIN = "login"
LISTS = {
    "services": "registry/service",
    "instances": "registry/serviceinstance",
    "connections": "registry/connection",
    "circuit breakers": "registry/circuitbreakerstate",
    "executions": "workflows/workflowexecution",
    "steps": "workflows/workflowstep",
    "workflows": "workflows/workflow",
    "schedules": "workflows/workflowschedule",
}
DAY_SECONDS = 86_400
FAILED_EACH, OPEN_EACH = 20, 100
ERRORS: list[dict[str, Any]] = [
    {"step": "step-0", "path": "step-0", "code": "service_unavailable", "message": "It is away."}
]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench pages", description=__doc__)
    parser.add_argument("--executions", type=int, default=10_000)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--backend", choices=("postgresql", "sqlite"), help="only this one")
    options = parser.parse_args(arguments)
    # Django is set up once in a process: each backend has its own.
    if options.backend is None:
        return max(_in_process(name, arguments) for name in ("postgresql", "sqlite"))
    if options.backend == "sqlite":
        return measure_on({}, options)
    if missing := missing_servers():
        say(f"PostgreSQL is needed: {missing}.")
        return 1
    with servers.start_durable() as durable:
        return measure_on(durable.environment(), options)


def _in_process(backend: str, arguments: Sequence[str] | None) -> int:
    options = [*(sys.argv[1:] if arguments is None else arguments), "--backend", backend]
    command = [sys.executable, "-m", "benchmarks.pages", *options]
    return subprocess.run(command, check=False).returncode


def measure_on(surroundings: Mapping[str, str], options: argparse.Namespace) -> int:
    """Fill a hub on these servers (none: SQLite), time its pages and print a table."""
    with (
        tempfile.TemporaryDirectory(prefix="si-bench-", ignore_cleanup_errors=True) as name,
        running_hub(Path(name), dict(surroundings)) as hub,
    ):
        for process in (hub.worker, hub.beat):  # only what answers pages is to run
            process.terminate()
            process.wait(15)
        use_database_of(hub)
        fill(options)
        with contextlib.closing(logged_in(hub)) as client:
            say("\n".join(table_of(measure(client, pages(), options.rounds), options)))
    return 0


# --- What the hub holds ---


def fill(options: argparse.Namespace) -> None:
    """Put in services, some of them troubled, and executions of a day, some of which failed."""
    names = [f"service-{number}" for number in range(options.services)]
    fill_services(names, some_offline=True)
    workflow = make_workflow("pages")
    apart = DAY_SECONDS / options.executions
    fill_finished(workflow, first=1, last=options.executions, apart=apart)
    _spread_executions(options.executions)


def _spread_executions(count: int) -> None:
    from workflows.models import WorkflowExecution, WorkflowStep

    key = f"{FIRST_ID[:24]}{{:012x}}".format
    failed = [key(n) for n in range(1, count + 1, FAILED_EACH)]
    running = [key(n) for n in range(2, count + 1, OPEN_EACH)]
    WorkflowExecution.objects.filter(pk__in=failed).update(status="FAILED", errors=ERRORS)
    WorkflowStep.objects.filter(pk__in=failed).update(status="FAILED", error=ERRORS[0])
    WorkflowExecution.objects.filter(pk__in=running).update(status="WAITING", completed_at=None)
    WorkflowStep.objects.filter(pk__in=running).update(status="WAITING", completed_at=None)


def pages() -> dict[str, str]:
    """Return the path of each page that is timed."""
    from django.urls import reverse

    from registry.models import Service

    lists = {name: f"/admin/{model}/" for name, model in LISTS.items()}
    service = Service.objects.order_by("name").values_list("pk", flat=True)[0]
    return {
        LOGIN: "/admin/login/",
        "start": "/admin/",
        **lists,
        "a service": f"/admin/registry/service/{service}/change/",
        "an execution": f"/admin/workflows/workflowexecution/{FIRST_ID[:-1]}1/change/",
        "inbox": reverse("admin:inbox"),
    }


# --- Timing ---


def logged_in(hub: Hub) -> httpx2.Client:
    """Return a browser of the first operator."""
    client = httpx2.Client(base_url=hub.url, timeout=60)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get("/admin/login/").text)
    assert token, "the login page has no form"
    fields = {
        "csrfmiddlewaretoken": token[1],
        "username": hub.access["ADMIN_USERNAME"],
        "password": hub.access["ADMIN_PASSWORD"],
    }
    answer = client.post("/admin/login/", data=fields, headers={"Referer": hub.url})
    assert answer.status_code == 302, answer.status_code
    return client


def measure(client: httpx2.Client, paths: Mapping[str, str], rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each page in each round, after one that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in paths}
    anonymous = httpx2.Client(base_url=client.base_url, timeout=60)
    for number in range(rounds + 1):
        for name, path in paths.items():
            asker = anonymous if name == LOGIN else client
            before = time.perf_counter()
            answer = asker.get(path)
            milliseconds = (time.perf_counter() - before) * 1000
            assert answer.status_code == 200, (path, answer.status_code)
            if number:
                taken[name].append(milliseconds)
    anonymous.close()
    return taken


def table_of(taken: Mapping[str, Sequence[float]], options: argparse.Namespace) -> list[str]:
    """Return the medians, and those of the ratios to the login page of the same round."""
    rows = [
        (
            name,
            f"{median(values):.0f}",
            f"{min(values):.0f}",
            f"{median(v / floor for v, floor in zip(values, taken[LOGIN], strict=True)):.1f}",
        )
        for name, values in taken.items()
    ]
    title = f"{options.backend}: {options.executions:,} executions, {options.services} services"
    return [title, "", *markdown_table(["page", "ms", "least ms", "login pages"], rows), ""]


if __name__ == "__main__":
    sys.exit(main())
