"""Workflows: listed, checked, applied from files, compared, run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from service_integration_client.cli import drawing
from service_integration_client.cli.commands import (
    INPUT,
    INPUT_FILE,
    SEARCH,
    age_of,
    given_input,
    list_command,
    read_object,
    status_of,
)
from service_integration_client.cli.executions import follow
from service_integration_client.cli.session import Session, hub_command, hub_group
from service_integration_client.exceptions import ResourceNotFoundError
from service_integration_client.strict_json import json_equal

ABOUT = ("name", "description", "type", "status", "metadata")
# What a file that does not have them takes away.
PARTS = ("output", "retry", "timeout", "defaults", "concurrency")
FILES = click.argument(
    "paths", nargs=-1, required=True, metavar="FILE|FOLDER...",
    type=click.Path(exists=True, path_type=Path),
)  # fmt: skip


@hub_group()
def workflows() -> None:
    """Definitions of what runs across services."""


list_command(
    workflows, "get_workflows", "Workflows by name.",
    {
        "NAME": "name", "TYPE": "type", "STATUS": status_of(), "VERSION": "version",
        "STEPS": lambda row: len(row.get("steps") or ()), "CHANGED": age_of("updated_at"),
    },
    click.option("--status", help="DRAFT, ACTIVE, INACTIVE or ARCHIVED."),
    click.option("--type", help="Such as PROJECT_PLANNING."),
    SEARCH,
)  # fmt: skip


@hub_command(workflows, "show")
@click.argument("workflow")
def show_workflow(session: Session, workflow: str) -> None:
    """One workflow as JSON, as a file of it would be."""
    found = session.client.get_workflow(workflow)
    session.show(found if session.as_json else _document(found))


@hub_command(workflows, "validate")
@FILES
def validate(session: Session, paths: tuple[Path, ...]) -> None:
    """Check files; nothing is stored. Exits with 1 when one is not valid."""
    found = []
    for path, document in _read_all(paths):
        options = {k: v for k, v in document.items() if k not in (*ABOUT, "steps")}
        steps: Any = document.get("steps")
        said = session.client.validate_workflow(steps, definition=options)
        found.append({"file": str(path), **said})
    session.show(found, _findings)
    if not all(each["valid"] for each in found):
        session.fail()


def _findings(found: list[dict[str, Any]]) -> Any:
    lines = Text()
    for each in found:
        lines.append(f"{each['file']}: ")
        word, colour = ("valid", "green") if each["valid"] else ("not valid", "red")
        lines.append(f"{word}\n", colour)
        for path, sentences in (each.get("errors") or {}).items():
            for sentence in sentences:
                lines.append(f"  {path}: {sentence}\n", "red")
        for warning in each.get("warnings") or ():
            lines.append(f"  {warning}\n", "yellow")
    lines.rstrip()
    return lines


@hub_command(workflows, "apply")
@FILES
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def apply(session: Session, paths: tuple[Path, ...], dry_run: bool) -> None:
    """Create or change workflows so that they are as the files say, by name."""
    done = []
    for path, document in _read_all(paths, named=True):
        known = _known(session, document["name"])
        outcome = _outcome(known, document)
        version = known.get("version") if known else None
        if outcome != "unchanged" and not dry_run:
            version = _save(session, known, document).get("version")
        done.append(
            {"file": str(path), "name": document["name"], "outcome": outcome, "version": version}
        )
    session.show(done, _outcomes)


def _outcome(known: dict[str, Any] | None, document: dict[str, Any]) -> str:
    if known is None:
        return "created"
    return "unchanged" if _agrees(known, document) else "changed"


def _outcomes(done: list[dict[str, Any]]) -> Any:
    styles = {"created": "green", "changed": "yellow", "unchanged": "dim"}
    rows = ((d["name"], Text(d["outcome"], styles[d["outcome"]]), d["version"]) for d in done)
    return drawing.table(("WORKFLOW", "", "VERSION"), rows)


def _save(session: Session, known: dict[str, Any] | None, document: dict[str, Any]) -> Any:
    fields: dict[str, Any] = {k: document.get(k) for k in (*ABOUT, "steps")}
    options = {k: v for k, v in document.items() if k not in fields}
    if known is None:
        return session.client.create_workflow(**fields, definition=options)
    gone = {k: None for k in PARTS if known.get(k) is not None}
    if isinstance(fields["metadata"], dict):
        forgotten = dict.fromkeys(known.get("metadata") or {})
        fields["metadata"] = {**forgotten, **fields["metadata"]}
    return session.client.update_workflow(known["id"], **fields, definition={**gone, **options})


@hub_command(workflows, "diff")
@FILES
def diff(session: Session, paths: tuple[Path, ...]) -> None:
    """What applying the files would change. Exits with 1 when there is something."""
    found = []
    for path, document in _read_all(paths, named=True):
        lines = _difference(_known(session, document["name"]), document, name=str(path))
        found.append({"file": str(path), "name": document["name"], "diff": lines})
    session.show(found, _coloured)
    if any(each["diff"] for each in found):
        session.fail()


def _difference(known: dict[str, Any] | None, document: dict[str, Any], *, name: str) -> list[str]:
    found = _document(known) if known else {}
    before = _lines({k: found.get(k) for k in _compared(found, document)}) if known else []
    there = f"hub: {document['name']}"
    return list(difflib.unified_diff(before, _lines(document), there, name, lineterm=""))


def _coloured(found: list[dict[str, Any]]) -> Any:
    text = Text()
    for line in (line for each in found for line in each["diff"]):
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        text.append(line + "\n", style)
    text.rstrip()
    return text if text else Text("No difference.", style="dim")


@hub_command(workflows, "run")
@click.argument("workflow")
@INPUT
@INPUT_FILE
@click.option("--correlation-id", help="To find it by.")
@click.option("--detach", is_flag=True, help="Start it and do not look on.")
def run(
    session: Session,
    workflow: str,
    inputs: tuple[str, ...],
    input_file: Any,
    correlation_id: str | None,
    detach: bool,
) -> None:
    """Run a workflow, look on, and print its output. Exits with 1 unless it completed."""
    given = given_input(inputs, input_file)
    context = {"correlation_id": correlation_id} if correlation_id else {}
    started = session.client.execute_workflow(workflow, given, context, wait=False).execution
    if detach:
        session.show(started, lambda found: found["id"])
        return
    found = follow(session, started)
    if found.get("status") != "COMPLETED":
        session.fail()
    if not session.as_json:
        session.show(found.get("output"))


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
        if not path.is_dir():
            yield path
            continue
        found = sorted(path.glob("*.json"))
        if not found:
            raise click.UsageError(f"There is no .json file in {path}.")
        yield from found


def _known(session: Session, name: str) -> dict[str, Any] | None:
    try:
        return session.client.get_workflow(name)
    except ResourceNotFoundError:
        return None


def _agrees(known: dict[str, Any], document: dict[str, Any]) -> bool:
    found = _document(known)
    keys = _compared(found, document)
    return all(json_equal(found.get(key), document.get(key)) for key in keys)


def _compared(found: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """The keys in which the hub and a file are compared: what a file leaves out stays."""
    return [*document, *(part for part in PARTS if part in found and part not in document)]


_OF_THE_HUB = ("id", "version", "owner", "created_at", "updated_at", "workflow_type")


def _document(known: dict[str, Any]) -> dict[str, Any]:
    """What a file of the workflow would hold."""
    return {k: v for k, v in known.items() if k not in _OF_THE_HUB and v not in (None, "", {})}


def _lines(document: dict[str, Any]) -> list[str]:
    return json.dumps(document, indent=2, ensure_ascii=False).splitlines()
