"""What is configured as files: applied, compared with what is there, and written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from service_integration_client.cli.groups import HubCommand
from service_integration_client.cli.options import Decorator, all_of
from service_integration_client.cli.session import Session

_MARKS = {"created": ("+", "green"), "changed": ("~", "yellow"), "deleted": ("-", "red")}
_TAKEN: Sequence[Decorator] = (
    click.option(
        "-f", "--file", "sources", multiple=True, required=True, metavar="FILE|DIR",
        type=click.Path(exists=True, allow_dash=True),
        help="YAML; of a folder all below it; - is standard input. Repeatable.",
    ),
    click.option("--owner", help="What these files are, such as a repository.  [default: files]"),
    click.option("--prune", is_flag=True, help="Delete what these files had, and now have not."),
    click.option("--take-over", is_flag=True, help="Take what is managed by other files."),
    click.option(
        "--secret", "secrets", multiple=True, metavar="NAME",
        help="A variable of the environment that the files name as {env: NAME}. Repeatable.",
    ),
)  # fmt: skip


@click.command("apply", cls=HubCommand)
@all_of(*_TAKEN)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def apply(session: Session, **given: Any) -> None:
    """Make the hub what files say: all of it, or nothing where something is refused."""
    done = _apply(session, given)
    session.show(done, _described)


@click.command("diff", cls=HubCommand)
@all_of(*_TAKEN)
def diff(session: Session, **given: Any) -> None:
    """Say what an application would change. Exits with 1 if it is anything."""
    planned = _apply(session, {**given, "dry_run": True})
    session.show(planned, _described)
    if any(each["action"] in _MARKS for each in planned["changes"]):
        session.fail()


@click.command("export", cls=HubCommand)
@click.argument("names", nargs=-1)
@click.option("--kind", "kinds", multiple=True, help="Such as Check; repeatable.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), help="A folder; files there are replaced."
)
def export(
    session: Session, names: tuple[str, ...], kinds: tuple[str, ...], output: str | None
) -> None:
    """Write what there is as YAML, without secrets: all of it, or what NAMES name."""
    found = session.client.export_manifests([*kinds] or None, name=[*names] or None)
    if session.as_json:
        session.show(found)
        return
    for file in found["files"]:
        if output is None:
            click.echo(file["text"], nl=False)
        else:
            _write(Path(output), file)


def _apply(session: Session, given: Mapping[str, Any]) -> Any:
    flags = {name: True for name in ("prune", "take_over", "dry_run") if given.get(name)}
    return session.client.apply_manifests(
        [{"name": name, "text": text} for name, text in _read(given["sources"])],
        owner=given["owner"],
        secrets={name: _secret(name) for name in given["secrets"]} or None,
        **flags,
    )


def _read(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file. Raises: click.UsageError."""
    for source in sources:
        if source == "-":
            yield "stdin", sys.stdin.read()
            continue
        folder = Path(source)
        paths = (
            sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml"))
            if folder.is_dir()
            else [folder]
        )
        if not paths:
            raise click.UsageError(f"There is no .yaml or .yml file in {source}.")
        for path in paths:
            try:
                yield path.as_posix(), path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise click.UsageError(f"{path} cannot be read: {error}") from None


def _secret(name: str) -> str:
    if name not in os.environ:
        raise click.UsageError(f"--secret {name}: there is no such variable in the environment.")
    return os.environ[name]


def _write(folder: Path, file: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(file["name"]).name
    path.write_text(file["text"], encoding="utf-8")
    click.echo(path)


def _described(done: Mapping[str, Any]) -> Text:
    text = Text()
    for each in done["changes"]:
        title = f"{each['kind']} {each['name']}"
        if each["action"] == "left":
            text.append(f"  {title}: in no file any more; --prune deletes it\n")
        elif each["action"] in _MARKS:
            mark, colour = _MARKS[each["action"]]
            text.append(f"{mark} {title}: {each['action']}\n", style=colour)
            for name, pair in each["fields"].items():
                text.append(f"    {name}: {_pair(pair)}\n")
    counts = done["counts"]
    words = [f"{counts[name]} {name}" for name in (*_MARKS, "unchanged", "left") if name in counts]
    text.append(", ".join(words) or "nothing to do")
    return text.append(" (nothing was done)" if done["dry_run"] else "")


def _pair(pair: Sequence[Any]) -> str:
    before, after = (json.dumps(value, ensure_ascii=False) for value in pair)
    return after if pair[0] is None else f"{before} -> {after}"
