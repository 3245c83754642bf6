"""Workflows: listed, checked, applied from files, compared, run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from service_integration_client.cli.executions import follow
from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH, read_object, takes_input
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import age_of, status_of, table
from service_integration_client.exceptions import ResourceNotFoundError
from service_integration_client.strict_json import json_equal

ABOUT = ("name", "description", "type", "status", "metadata")
# What a file that does not have them takes away.
PARTS = ("output", "retry", "timeout", "defaults", "concurrency")
FILES = click.argument(
    "paths", nargs=-1, required=True, metavar="FILE|FOLDER...",
    type=click.Path(exists=True, path_type=Path),
)  # fmt: skip


workflows = HubGroup("workflows", help="Definitions of what runs across services.")
workflows.add_list(
    "get_workflows", "Workflows by name.",
    {
        "NAME": "name", "TYPE": "type", "STATUS": status_of(), "VERSION": "version",
        "STEPS": lambda row: len(row.get("steps") or ()), "CHANGED": age_of("updated_at"),
    },
    click.option("--status", help="DRAFT, ACTIVE, INACTIVE or ARCHIVED."),
    click.option("--type", help="Such as PROJECT_PLANNING."),
    SEARCH,
)  # fmt: skip


@workflows.command("show")
@click.argument("workflow")
def show_workflow(session: Session, workflow: str) -> None:
    """One workflow as JSON, as a file of it would be."""
    stored = session.client.get_workflow(workflow)
    session.show(stored if session.as_json else _document(stored))


@workflows.command("validate")
@FILES
def validate(session: Session, paths: tuple[Path, ...]) -> None:
    """Check files; nothing is stored. Exits with 1 when one is not valid."""
    reports = []
    for path, document in _read_all(paths):
        options = {k: v for k, v in document.items() if k not in (*ABOUT, "steps")}
        steps: Any = document.get("steps")
        report = session.client.validate_workflow(steps, definition=options)
        reports.append({"file": str(path), **report})
    session.show(reports, validation_text)
    if not all(report["valid"] for report in reports):
        session.fail()


def validation_text(reports: list[dict[str, Any]]) -> Any:
    """Return each file with its faults and warnings, a line for each."""
    lines = Text()
    for report in reports:
        lines.append(f"{report['file']}: ")
        lines.append(*(("valid\n", "green") if report["valid"] else ("not valid\n", "red")))
        for path, sentences in (report.get("errors") or {}).items():
            for sentence in sentences:
                lines.append(f"  {path}: {sentence}\n", "red")
        for warning in report.get("warnings") or ():
            lines.append(f"  {warning}\n", "yellow")
    lines.rstrip()
    return lines


@workflows.command("apply")
@FILES
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def apply(session: Session, paths: tuple[Path, ...], dry_run: bool) -> None:
    """Create or change workflows so that they are as the files say, by name."""
    outcomes = []
    for path, document in _read_all(paths, named=True):
        stored = _stored(session, document["name"])
        outcome = _outcome(stored, document)
        version = stored.get("version") if stored else None
        if outcome != "unchanged" and not dry_run:
            version = _save(session, stored, document).get("version")
        outcomes.append(
            {"file": str(path), "name": document["name"], "outcome": outcome, "version": version}
        )
    session.show(outcomes, _outcome_table)


def _outcome(stored: dict[str, Any] | None, document: dict[str, Any]) -> str:
    if stored is None:
        return "created"
    before = _document(stored)
    keys = _compared_keys(before, document)
    is_same = all(json_equal(before.get(key), document.get(key)) for key in keys)
    return "unchanged" if is_same else "changed"


def _outcome_table(outcomes: list[dict[str, Any]]) -> Any:
    styles = {"created": "green", "changed": "yellow", "unchanged": "dim"}
    rows = ((o["name"], Text(o["outcome"], styles[o["outcome"]]), o["version"]) for o in outcomes)
    return table(("WORKFLOW", "", "VERSION"), rows)


def _save(session: Session, stored: dict[str, Any] | None, document: dict[str, Any]) -> Any:
    fields: dict[str, Any] = {k: document.get(k) for k in (*ABOUT, "steps")}
    options = {k: v for k, v in document.items() if k not in fields}
    if stored is None:
        return session.client.create_workflow(**fields, definition=options)
    removed = {k: None for k in PARTS if stored.get(k) is not None}
    if isinstance(fields["metadata"], dict):
        removed_metadata = dict.fromkeys(stored.get("metadata") or {})
        fields["metadata"] = {**removed_metadata, **fields["metadata"]}
    definition = {**removed, **options}
    return session.client.update_workflow(stored["id"], **fields, definition=definition)


@workflows.command("diff")
@FILES
def diff(session: Session, paths: tuple[Path, ...]) -> None:
    """What applying the files would change. Exits with 1 when there is something."""
    differences = []
    for path, document in _read_all(paths, named=True):
        lines = _diff_lines(_stored(session, document["name"]), document, file=str(path))
        differences.append({"file": str(path), "name": document["name"], "diff": lines})
    session.show(differences, _diff_text)
    if any(difference["diff"] for difference in differences):
        session.fail()


def _diff_lines(stored: dict[str, Any] | None, document: dict[str, Any], *, file: str) -> list[str]:
    before: list[str] = []
    if stored:
        fields = _document(stored)
        before = _lines({key: fields.get(key) for key in _compared_keys(fields, document)})
    source = f"hub: {document['name']}"
    return list(difflib.unified_diff(before, _lines(document), source, file, lineterm=""))


def _diff_text(differences: list[dict[str, Any]]) -> Any:
    text = Text()
    for line in (line for difference in differences for line in difference["diff"]):
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        text.append(line + "\n", style)
    text.rstrip()
    return text if text else Text("No difference.", style="dim")


@workflows.command("run")
@click.argument("workflow")
@takes_input
@click.option("--correlation-id", help="To find it by.")
@click.option("--detach", is_flag=True, help="Start it and do not look on.")
def run(
    session: Session, workflow: str, input_data: Any, correlation_id: str | None, detach: bool
) -> None:
    """Run a workflow, look on, and print its output. Exits with 1 unless it completed."""
    context = {"correlation_id": correlation_id} if correlation_id else {}
    started = session.client.execute_workflow(workflow, input_data, context, wait=False).execution
    if detach:
        session.show(started, lambda execution: execution["id"])
        return
    completed = follow(session, started)
    if not session.as_json:
        session.show(completed.get("output"))


# --- Files ---


def _read_all(
    paths: Iterable[Path], *, named: bool = False
) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in _files(paths):
        document = read_object(path.read_text(encoding="utf-8"), str(path), of_list="steps")
        if named and not isinstance(document.get("name"), str):
            raise click.UsageError(f"{path} has no 'name'.")
        yield path, document


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise click.UsageError(f"There is no .json file in {path}.")
        yield from files


def _stored(session: Session, name: str) -> dict[str, Any] | None:
    try:
        return session.client.get_workflow(name)
    except ResourceNotFoundError:
        return None


def _compared_keys(stored: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """Return the keys in which the hub and a file are compared: what a file leaves out stays."""
    return [*document, *(part for part in PARTS if part in stored and part not in document)]


_FIELDS_OF_THE_HUB = ("id", "version", "owner", "created_at", "updated_at", "workflow_type")


def _document(stored: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of the workflow would hold."""
    return {
        k: v for k, v in stored.items() if k not in _FIELDS_OF_THE_HUB and v not in (None, "", {})
    }


def _lines(document: dict[str, Any]) -> list[str]:
    return json.dumps(document, indent=2, ensure_ascii=False).splitlines()
