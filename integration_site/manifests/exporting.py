"""Rows become documents: a file for each kind, which changes nothing when it is applied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.exceptions import ValidationFailed
from core.suggestions import did_you_mean
from integration_site.manifests.documents import write_manifests
from integration_site.manifests.kinds import KINDS, Kind

# Of one kind: more are written by asking for names.
MOST_EXPORTED = 5_000


def export_files(
    kinds: Sequence[str], names: Sequence[str], caller: Any
) -> Iterator[tuple[str, str]]:
    """Yield a file for each kind, of those that the caller may read, with its name and its text.

    Raises:
        ValidationFailed: there is no such kind, or there are too many rows of one.
    """
    for name in kinds:
        if name not in KINDS:
            hint = did_you_mean(name[:100], KINDS)
            known = ", ".join(KINDS)
            raise ValidationFailed.at("kind", f"There is no such kind{hint} Known: {known}.")
    for kind in KINDS.values():
        if (not kinds or kind.name in kinds) and caller.may(kind.read_scope):
            documents = [_document_of(kind, row) for row in _rows_of(kind, names)]
            if documents:
                yield file_of(kind.name), write_manifests(documents)


def file_of(kind: str) -> str:
    """Return the name of the file for a kind, such as `maintenance-windows.yaml`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()
    return f"{words[:-1]}ies.yaml" if words.endswith("y") else f"{words}s.yaml"


def _rows_of(kind: Kind, names: Sequence[str]) -> list[Any]:
    rows = list(kind.rows()[: MOST_EXPORTED + 1])
    if len(rows) > MOST_EXPORTED:
        sentence = f"There are more than {MOST_EXPORTED:,} of the kind {kind.name}."
        raise ValidationFailed.at("kind", sentence)
    wanted = {name.lower() for name in names}
    return [row for row in rows if not wanted or kind.title_of(row).lower() in wanted]


def _document_of(kind: Kind, row: Any) -> Mapping[str, Any]:
    named = {"name": row.name} if hasattr(row, "name") else {}
    return {"kind": kind.name, **named, "spec": kind.spec_of(row)}
