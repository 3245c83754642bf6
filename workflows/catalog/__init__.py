"""The built-in workflows, as JSON beside this file.

Those below `fleet` call services of the earlier system at the paths that these have.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workflows.models import Workflow, checksum_of
from workflows.services import OPTION_KEYS, create_workflow, update_workflow

OWNER = "catalog"


def read_catalog() -> list[dict[str, Any]]:
    """Return the entries: name, type, description, steps, output and metadata."""
    files = sorted(Path(__file__).parent.rglob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def install_catalog() -> list[str]:
    """Store the entries that are new or newer; return their names.

    One that an operator changed is left as it is. The services need not be registered yet.
    """
    return [entry["name"] for entry in read_catalog() if _install(entry)]


def _install(entry: dict[str, Any]) -> bool:
    document = {k: entry[k] for k in ("steps", *OPTION_KEYS) if k in entry}
    checksum = checksum_of(document)
    metadata = {**entry.get("metadata", {}), "catalog_checksum": checksum}
    fields = {"description": entry["description"], "metadata": metadata}
    workflow = Workflow.objects.select_related("current_version").find(entry["name"])
    if workflow is None:
        fields |= {"name": entry["name"], "type": entry["type"]}
        create_workflow(fields, document, actor=OWNER, lenient=True)
        return True
    version = workflow.current_version
    installed = workflow.metadata.get("catalog_checksum")
    if version is None or version.checksum != installed or installed == checksum:
        return False
    update_workflow(workflow, fields, document, actor=OWNER, lenient=True)
    return True
