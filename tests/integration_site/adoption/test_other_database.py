"""Takes over what another database holds, in every shape, and gives it up again."""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import UTC
from pathlib import Path
from typing import Any

import pymysql
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from integration_site.adoption import application, inspection, reversal
from integration_site.adoption.record import AdoptionRecord
from integration_site.adoption.report import adoption_json, table_counts
from model_orchestration.models import (
    Model,
    ModelBudget,
    ModelFeedback,
    ModelPerformance,
    ModelPerformanceHistory,
    ProviderQuota,
    QuotaWindow,
    Request,
)
from registry.credentials.sealing import open_secret
from registry.models import (
    CircuitBreakerState,
    Connection,
    Credential,
    Integration,
    Service,
    ServiceAlias,
    ServiceInstance,
)
from registry.services.lookup import get_service
from tests.support import made_once, tls
from tests.support.earlier_database import SECRET, SHAPES, TABLES, fill
from workflows.invariants import check_executions
from workflows.models import Workflow, WorkflowExecution, WorkflowStep
from workflows.services.executions.control import retry_execution
from workflows.services.executions.lookup import get_execution

pytestmark = pytest.mark.django_db
TAKEN = (
    Model, ModelBudget, ModelFeedback, ModelPerformance, ModelPerformanceHistory,
    ProviderQuota, QuotaWindow, Request, ServiceAlias,
    Service, ServiceInstance, CircuitBreakerState, Credential, Connection, Integration,
    WorkflowExecution, WorkflowStep, Workflow,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _with_key(settings: Any) -> None:
    settings.CREDENTIAL_KEYS = "tests:" + "A" * 43 + "="


def source_of(tmp_path: Path, shape: str) -> str:
    url = f"sqlite:{tmp_path / 'earlier.sqlite3'}"
    fill(url, SHAPES[shape], services=8, executions=20)
    return url


def take(url: str, **options: Any) -> AdoptionRecord:
    record = application.apply(url, zone=UTC, say=lambda _: None, **options)
    assert record is not None
    return record


def sizes() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in TAKEN}


def rows_of(url: str, table: str) -> list[dict[str, Any]]:
    found = inspection.inspect(url)
    [each] = [each for each in found.tables if each.kind.name == table]
    rows = list(found.source.rows(each.table))
    found.source.close()
    return rows


@pytest.mark.parametrize("shape", ["renamed"])
def test_nothing_is_lost_of_a_file(tmp_path: Path, shape: str) -> None:
    check_that_nothing_is_lost(source_of(tmp_path, shape))


@pytest.mark.parametrize("shape", ["newer-odd", "older"])
def test_nothing_is_lost_of_a_postgresql(backend: str, shape: str) -> None:
    if backend == "sqlite":
        pytest.skip("It needs a PostgreSQL.")
    made_once.create_database("earlier")
    host, port = os.environ["POSTGRES_HOST"], os.environ["POSTGRES_PORT"]
    url = f"postgres://postgres:trusted@{host}:{port}/earlier"
    fill(url, SHAPES[shape], services=8, executions=20)
    check_that_nothing_is_lost(url)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_lost_of_a_mariadb(shape: str) -> None:
    with tls.start_mariadb() as port:
        server = pymysql.connect(host="127.0.0.1", port=port, user="root")
        server.cursor().execute("CREATE DATABASE earlier")
        server.close()
        url = f"mysql://root@127.0.0.1:{port}/earlier"
        fill(url, SHAPES[shape], services=8, executions=20)
        check_that_nothing_is_lost(url)


def check_that_nothing_is_lost(url: str) -> None:
    """Take all of a source, find it by its identifiers, and give it up again."""
    before = sizes()
    record = take(url)
    counts = table_counts(record)
    assert {row["table"] for row in counts} >= {"registered_service", "workflow_execution"}
    for row in counts:
        assert row["read"] == len(rows_of(url, row["table"]))
        assert row["read"] == row["taken"] + row["left"], row
    left = {(f.table, f.key) for f in record.findings() if f.verdict == "LEFT"}
    assert len(left) == sum(row["left"] for row in counts)
    for row in rows_of(url, "workflow_execution"):
        if row["workflow_id"] is not None:
            execution = get_execution(row["workflow_id"])
            assert execution.context["earlier"]["workflow_id"] == row["workflow_id"]
    for row in rows_of(url, "registered_service"):
        if row["service_id"] not in (None, "bad-url"):
            assert get_service(row["service_id"]).name
    assert list(check_executions()) == []
    assert Credential.objects.filter(name="planner key").exists()
    assert reversal.revert(url, confirmed=False, say=lambda _: None)
    assert sizes() == before
    assert not AdoptionRecord.exists()


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    url = source_of(tmp_path, "newer-odd")
    first = "".join(adoption_json(take(url)))
    counts = sizes()
    assert "".join(adoption_json(take(url))) == first
    assert sizes() == counts


@pytest.mark.parametrize("kept", ["workflow_execution", "workflow_step", "model", "request"])
def test_a_table_alone_is_taken(tmp_path: Path, kept: str) -> None:
    url = source_of(tmp_path, "newer-odd")
    database = sqlite3.connect(url.partition(":")[2])
    for name in TABLES.keys() - {kept}:
        database.execute(f"DROP TABLE {name}")
    database.close()
    [counted] = table_counts(take(url))
    assert counted["table"] == kept
    assert counted["read"] == counted["taken"] + counted["left"] > 0


def test_values_arrive_as_the_hub_has_them(tmp_path: Path) -> None:
    url = source_of(tmp_path, "older")
    take(url)
    instance = ServiceInstance.objects.select_related("service").get(
        url="http://service-1.internal:8000"
    )
    assert instance.service.type == "MODEL_ORCHESTRATION"
    assert instance.status == "ONLINE"
    assert instance.health_url.endswith("/health")
    assert [action.name for action in instance.service.actions.all()] == ["get_projects_project_id"]
    assert instance.service.metadata == {"team": "team-1"}
    [planner] = Credential.objects.filter(name="planner key")
    assert open_secret(planner)["key"].reveal() == SECRET
    assert Connection.objects.get(name="planner").credential == planner
    integration = Integration.objects.get(name="plans")
    assert (integration.target, integration.action) == ("service-1", "get_projects_project_id")
    model = Model.objects.get(name="gpt-4")
    assert (model.provider, model.capabilities, model.max_tokens) == ("OPENAI", ["CHAT"], 8192)
    assert model.connection.name == "earlier-openai"
    request = Request.objects.get(request_id="req-1")
    assert (request.state, request.cost, request.total_tokens) == ("SETTLED", 0.001, 7)
    assert ProviderQuota.objects.get(provider="OPENAI").daily_token_limit == 1000
    llama = Model.objects.get(name="llama-3")
    assert (llama.provider, llama.token_limit) == ("OLLAMA", 8192)
    assert llama.metadata == {"version": "3", "is_local": "1"}
    assert [(price.input, price.output) for price in llama.prices.all()] == [(10, 30)]
    budget = ModelBudget.objects.get()
    assert (budget.scope, budget.cost_limit, budget.on_exceed) == ("PROJECT", 50, "WARN")
    assert budget.warn_at == [80]
    figures = ModelPerformance.objects.get(model_id="gpt-4", task_type="reasoning")
    assert (figures.sample_count, figures.success_rate) == (20, 0.9)
    assert (figures.quality_score, figures.confidence) == (0.75, 0.9)
    periods = ModelPerformanceHistory.objects.order_by("period_end")
    assert [row.period_type for row in periods] == ["DAY", "WEEK", "MONTH"]
    said = ModelFeedback.objects.get(request_id="req-1")
    assert (said.quality_rating, said.feedback_text) == (0.5, "Too long.")
    execution = get_execution("run-0000007")
    assert execution.input == {"project_id": "p7"}
    assert [step.path for step in execution.steps.all()] == [
        "get-project", "strategic-plan", "tactical-plan",
    ]  # fmt: skip


def test_a_failed_execution_is_retried_from_where_it_failed(tmp_path: Path) -> None:
    take(source_of(tmp_path, "newer"))
    failed = WorkflowExecution.objects.filter(status="FAILED").first()
    assert failed is not None
    assert retry_execution(failed.pk).status == "RUNNING"
    again = failed.steps.get(status="PENDING")
    assert again.attempt == 2
    assert list(check_executions()) == []


def test_plain_secrets_are_emptied_once_that_is_agreed(tmp_path: Path) -> None:
    url = source_of(tmp_path, "newer")
    take(url)
    assert rows_of(url, "credential")[0]["secret"] == SECRET
    take(url, confirmed=True)
    assert rows_of(url, "credential")[0]["secret"] == ""


def test_what_the_hub_has_already_stays_and_is_joined(tmp_path: Path) -> None:
    own = Service.objects.create(name="Service-1", description="the hub's own")
    url = source_of(tmp_path, "newer")
    take(url)
    own.refresh_from_db()
    assert own.description == "the hub's own"
    assert own.instances.count() == 1
    reversal.revert(url, confirmed=False, say=lambda _: None)
    assert Service.objects.get() == own
    assert own.instances.count() == 0


def test_the_command_tells_before_and_after(tmp_path: Path, capsys: Any) -> None:
    url = source_of(tmp_path, "older")
    before = sizes()
    call_command("adopt_schema", "--inspect", "--json", "--from", url)
    told = json.loads(capsys.readouterr().out)
    assert {row["is"]: row["rows"] for row in told["tables"]}["workflow_execution"] == 29
    assert sizes() == before
    report = tmp_path / "report.json"
    call_command("adopt_schema", "--apply", "--from", url, "--report", str(report))
    told = json.loads(report.read_text())
    assert {row["table"]: row["left"] for row in told["tables"]}["workflow_step"] == 6
    assert "workflow_execution" in capsys.readouterr().out
    call_command("adopt_schema", "--revert", "--from", url)
    call_command("adopt_schema", "--revert", "--from", url)
    assert "nothing to revert" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite:/nowhere/at.all", "There is no file"),
        ("oracle://host/db", "no kind of database"),
        ("postgres://127.0.0.1", "cannot be read"),
        ("postgres://127.0.0.1:1/none", "cannot be read"),
        ("mysql://root@127.0.0.1:1/none", "cannot be read"),
        ("mysql://root@127.0.0.1:x/none", "cannot be read"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_in_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("adopt_schema", "--inspect", "--from", url)


def test_a_database_without_such_tables_has_nothing(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "empty.sqlite3"
    file.touch()
    call_command("adopt_schema", "--apply", "--from", f"sqlite:{file}")
    assert "nothing was taken over" in capsys.readouterr().out
    assert not AdoptionRecord.exists()
