"""Operations of the hub's integrations and connections, and the edges of answers and commands."""

import asyncio
import inspect
import pydoc
import re
import runpy
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from service_integration_client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
    UnexpectedAnswerError,
)
from service_integration_client.cli import app, tables
from service_integration_client.cli.execution_tree import _bar
from service_integration_client.cli.timeline import BAR, CELLS, Scale, scale_of
from service_integration_client.cli.workflows import validation_text
from service_integration_client.client import _BaseClient
from service_integration_client.documentation import ARGUMENTS
from service_integration_client.hub import run_blocking
from service_integration_client.responses import retry_after_seconds
from service_integration_client.results import errors_of
from tests.client.fake_hub import FakeHub, answer


def test_answer_that_cannot_be_unpacked_is_not_a_hubs():
    hub = FakeHub(httpx2.DecodingError("bad gzip"))
    with pytest.raises(UnexpectedAnswerError, match="bad gzip"):
        SyncServiceIntegrationClient(**hub.options()).get_workflows()


def test_date_without_a_zone_is_in_utc():
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert retry_after_seconds("Tue, 01 Jan 2030 00:00:05 -0000", now=now) == 5


def test_single_error_of_an_execution_is_a_list_of_one():
    assert errors_of({"errors": {"message": "No."}}) == [{"message": "No."}]


@pytest.mark.parametrize("begin", ["http://", "ftp://", ""])
def test_password_in_the_url_is_refused_and_not_repeated(begin):
    with pytest.raises(ValueError, match="no user name") as caught:
        ServiceIntegrationClient(f"{begin}user:hidden@hub:1/api")
    assert "hidden" not in str(caught.value)


def test_operation_that_would_suspend_says_so():
    with pytest.raises(RuntimeError, match="event loop"):
        run_blocking(asyncio.sleep(0))


def test_what_is_not_known_is_drawn_as_nothing():
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert tables.ago(None) == "-"
    assert scale_of([], now=now) is None
    instant = Scale(now, now)
    assert _bar((now, now), instant, style=None).plain == BAR.ljust(CELLS)
    assert "slow" in validation_text([{"file": "a", "valid": True, "warnings": ["slow"]}]).plain


@pytest.mark.parametrize(("word", "body"), [("approve", {"may": 1}), ("reject", {})])
def test_decision_is_sent_and_the_execution_drawn(word, body, monkeypatch):
    hub = FakeHub(answer(200, {"id": "e", "status": "RUNNING", "workflow_name": "ask"}))
    client = SyncServiceIntegrationClient(**hub.options())
    session = "service_integration_client.cli.session.SyncServiceIntegrationClient"
    monkeypatch.setattr(session, lambda *given: client)
    form = ["--form", "may=1"] if body else []
    done = CliRunner().invoke(app.root, ["executions", word, "e", "may-i", *form])
    assert done.exit_code == 0, done.output
    assert "RUNNING" in done.output
    assert hub.bodies == [{"comment": "", "form": body}]


def test_list_that_is_cut_says_so(monkeypatch):
    row = {"id": "w", "name": "w", "status": "ACTIVE", "version": 1, "type": "CUSTOM", "steps": []}
    hub = FakeHub(answer(200, {"items": [row], "total": 7, "next": None}))
    client = SyncServiceIntegrationClient(**hub.options())
    session = "service_integration_client.cli.session.SyncServiceIntegrationClient"
    monkeypatch.setattr(session, lambda *given: client)
    done = CliRunner().invoke(app.root, ["workflows", "list", "--limit", "1"])
    assert "1 of 7: --limit shows more." in done.output


def test_module_runs_the_program(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["service-integration", "completion", "bash"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("service_integration_client.cli", run_name="__main__")
    assert caught.value.code == 0


def test_interrupted_program_ends_with_its_code(monkeypatch):
    def interrupt(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(app.root, "main", interrupt)
    with pytest.raises(SystemExit) as caught:
        app.main()
    assert caught.value.code == 130


README = (Path(__file__).parent.parent.parent / "client" / "README.md").read_text()
OPERATIONS = [name for name in dir(_BaseClient) if not name.startswith(("_", "awaits_"))]


WITHOUT_ERRORS_OF_ITS_OWN = {"get_integration_health"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_in_the_readme_and_names_its_arguments_and_errors(name):
    method = getattr(SyncServiceIntegrationClient, name)
    said, arguments = inspect.getdoc(method), list(inspect.signature(method).parameters)[1:]
    assert f"`{name}`" in README
    assert [
        each for each in arguments if not re.search(rf"`{each}`|^    {each}: .", said, re.M)
    ] == []
    assert "Raises: " in said or name in WITHOUT_ERRORS_OF_ITS_OWN
    assert "Every call also raises AuthenticationError" in said


def test_arguments_that_are_said_once_are_arguments_of_some_operation():
    found = {
        each
        for name in OPERATIONS
        for each in inspect.signature(getattr(SyncServiceIntegrationClient, name)).parameters
    }
    assert sorted(set(ARGUMENTS) - found) == []


@pytest.mark.parametrize("kind", [SyncServiceIntegrationClient, AsyncServiceIntegrationClient])
def test_help_shows_methods_with_their_arguments(kind):
    client = kind("http://hub:1/api")
    for method, own in ((kind.get_service_health, ["self"]), (client.get_service_health, [])):
        assert method.__name__ == "get_service_health"
        assert [*inspect.signature(method).parameters] == [*own, "service_id", "probe"]
        assert "the id or name of the service" in inspect.getdoc(method)
    assert client.iter_workflows.__name__ == "iter_workflows"
    assert "get_service_health(self, service_id:" in pydoc.plain(pydoc.render_doc(kind))


def test_method_of_the_class_takes_the_client_first():
    hub = FakeHub(answer(200, {"id": "w"}))
    client = SyncServiceIntegrationClient(**hub.options())
    assert SyncServiceIntegrationClient.get_workflow(client, "w") == {"id": "w"}
