"""Whoever ran the earlier system moves over: looks, takes over, works on, and goes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.urls import reverse

from tests.support import made_once
from tests.support.dumps import dump_of
from tests.support.earlier_database import SHAPES, fill
from tests.support.old_client import OldService, SystemHealth, parse, workflow_of
from tests.support.real_hub import ROOT, Hub, running_hub

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SERVICES, EXECUTIONS = 100, 10_000
FAILED = "run-0000017"  # every tenth gave itself an id of this form, and every fifth but one ended
OLD = {"LEGACY_API": "on", "ANONYMOUS_API_ROLE": "OPERATOR",
       "ANONYMOUS_API_NETWORKS": "127.0.0.0/8"}  # fmt: skip


def test_a_new_user_moves_over_and_back(tmp_path: Path) -> None:
    if "POSTGRES_HOST" not in os.environ:
        pytest.skip("Its tables stand in a PostgreSQL.")
    made_once.create_database("moving")
    host, port = os.environ["POSTGRES_HOST"], os.environ["POSTGRES_PORT"]
    url = f"postgres://postgres:trusted@{host}:{port}/moving"
    fill(url, SHAPES["newer-odd"], services=SERVICES, executions=EXECUTIONS)
    before = dump_of(url)
    surroundings = {
        **{name: value for name, value in os.environ.items() if name.startswith("POSTGRES_")},
        **OLD, "POSTGRES_DB": "moving", "CREDENTIAL_KEYS": "tests:" + "A" * 43 + "=",
    }  # fmt: skip

    def manage(*arguments: str) -> Any:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**os.environ, **surroundings, "DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = manage("bootstrap")
    assert refused.returncode != 0
    assert "./dev adopt --inspect" in refused.stdout + refused.stderr
    inspected = json.loads(manage("adopt_schema", "--inspect", "--json").stdout)
    rows = {each["is"]: each["rows"] for each in inspected["tables"]}
    assert rows["workflow_execution"] > EXECUTIONS
    assert dump_of(url) == before
    applied = manage("adopt_schema", "--apply", "--json")
    assert applied.returncode == 0, applied.stderr
    counted = {row["table"]: row for row in json.loads(applied.stdout)["tables"]}
    assert counted["workflow_execution"]["read"] == rows["workflow_execution"]

    with running_hub(tmp_path, surroundings) as hub:
        check_old_calls(hub)
        look_and_retry(hub)

    kept = manage("adopt_schema", "--revert")
    assert "Say --confirm" in kept.stderr
    reverted = manage("adopt_schema", "--revert", "--confirm")
    assert reverted.returncode == 0, reverted.stderr
    assert dump_of(url) == before


def check_old_calls(hub: Hub) -> None:
    """An old client finds what was there, and registers as ever."""
    with httpx2.Client(base_url=hub.url, timeout=40) as old:
        taken = workflow_of(old.get(f"/executions/{FAILED}").json())
        assert (taken.workflow_id, taken.status) == (FAILED, "COMPLETED")
        assert old.get("/registry/services/svc-13").json()["service_id"] == "svc-13"
        service = OldService(old, service_id="planning-7")
        assert service.register().service_id == "planning-7"
        assert parse(SystemHealth, old.get("/health/system").json()).service_statuses["planning-7"]
        assert service.leave() == 204
        OldService(old, service_id="planning-8").register()  # which stays, so that it is asked for


def look_and_retry(hub: Hub) -> None:
    """A person sees an old execution with its graph and times, and has one run again."""
    [failed] = hub.get("/executions", status="FAILED", per_page=1)["items"]
    pk = failed["execution_id"]
    with httpx2.Client(base_url=hub.url, timeout=40, follow_redirects=True) as person:
        login = {"username": hub.access["ADMIN_USERNAME"], "password": hub.access["ADMIN_PASSWORD"]}
        person.get("/admin/login/")
        token = {"csrfmiddlewaretoken": str(person.cookies["csrftoken"])}
        person.post("/admin/login/", data={**login, **token}, headers={"Referer": hub.url})
        page = person.get(reverse("admin:workflows_workflowexecution_change", args=(pk,)))
        assert page.status_code == 200
        for shown in ("<svg", "get-project", "2025"):
            assert shown in page.text, shown
        token = {"csrfmiddlewaretoken": str(person.cookies["csrftoken"])}
        again = person.post(
            reverse("admin:execution_retry", args=(pk,)), data=token, headers={"Referer": hub.url}
        )
        assert again.status_code == 200
    attempts = [step["attempt"] for step in hub.get(f"/executions/{pk}/steps")["items"]]
    assert 2 in attempts
