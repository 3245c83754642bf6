"""The command line where no hub is needed: help, completion, and what it asks of its client."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service_integration_client.cli import app
from service_integration_client.cli.app import PROGRAM, root
from tests.client.fake_hub import FakeHub, answer

pytestmark = pytest.mark.once
README = (Path(__file__).parent.parent.parent / "client" / "README.md").read_text()


def commands() -> Iterator[tuple[str, ...]]:
    for name, group in root.commands.items():
        yield from ((name, command) for command in getattr(group, "commands", ()))


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_takes_json_and_says_what_it_does(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(root, [*command, "--help"])
    assert (shown.exit_code, "--json" in shown.stdout) == (0, True)
    assert f"`{command[0]} " in README or f"`{command[0]}`" in README
    assert command[1] in README.partition("## Command line")[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "word"),
    [("conn", "connections"), ("connections te", "test"), ("connections test --js", "--json")],
)
def test_words_and_options_are_completed(shell: str, line: str, word: str) -> None:
    """As the shell asks, which gives its words in the environment."""
    words = f"{PROGRAM} {line}"
    last = line.rpartition(" ")[2]
    environment = {
        "_SERVICE_INTEGRATION_COMPLETE": f"{shell}_complete", "COMP_WORDS": words,
        "COMP_CWORD": last if shell == "fish" else str(len(words.split()) - 1),
    }  # fmt: skip
    completed = CliRunner().invoke(root, prog_name=PROGRAM, env=environment)
    assert completed.stdout.replace(",", "\n").replace("\t", "\n").split("\n")[:2] == [
        "plain",
        word,
    ]


def test_completion_works_in_bash(tmp_path: Path) -> None:
    program = tmp_path / PROGRAM
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m service_integration_client.cli "$@"\n')
    program.chmod(0o700)
    script = f"""
        PATH="{tmp_path}:$PATH"
        eval "$(service-integration completion bash)"
        COMP_WORDS=(service-integration inci) COMP_CWORD=1
        _service_integration_completion service-integration
        echo "${{COMPREPLY[@]}}"
    """
    bash = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert bash.stdout.strip() == "incidents", bash.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_their_completion(shell: str) -> None:
    completion = CliRunner().invoke(root, ["completion", shell])
    assert "_SERVICE_INTEGRATION_COMPLETE" in completion.stdout


def run(monkeypatch: pytest.MonkeyPatch, hub: FakeHub, *arguments: str) -> Result:
    client = hub.client()
    client_class = "service_integration_client.cli.session.SyncServiceIntegrationClient"
    monkeypatch.setattr(client_class, lambda *arguments: client)
    return CliRunner().invoke(root, arguments)


@pytest.mark.parametrize(("word", "form"), [("approve", {"may": 1}), ("reject", {})])
def test_decision_is_sent_and_the_execution_drawn(
    monkeypatch: pytest.MonkeyPatch, word: str, form: dict[str, Any]
) -> None:
    hub = FakeHub(answer(200, {"id": "e", "status": "RUNNING", "workflow_name": "ask"}))
    options = ["--form", "may=1"] if form else []
    result = run(monkeypatch, hub, "executions", word, "e", "may-i", *options)
    assert result.exit_code == 0, result.output
    assert "RUNNING" in result.output
    assert hub.bodies == [{"comment": "", "form": form}]


def test_list_that_is_cut_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"id": "w", "name": "w", "status": "ACTIVE", "version": 1, "type": "CUSTOM", "steps": []}
    hub = FakeHub(answer(200, {"items": [row], "total": 7, "next": None}))
    result = run(monkeypatch, hub, "workflows", "list", "--limit", "1")
    assert "1 of 7: --limit shows more." in result.output


def test_module_runs_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["service-integration", "completion", "bash"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("service_integration_client.cli", run_name="__main__")
    assert caught.value.code == 0


def test_interrupted_program_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app.root, "main", interrupt)
    with pytest.raises(SystemExit) as caught:
        app.main()
    assert caught.value.code == 130
