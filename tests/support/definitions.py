"""Makes steps of definitions, and reads what is wrong with a definition by path."""

from __future__ import annotations

from typing import Any

import pytest

from workflows import validation
from workflows.definition import DefinitionError, parse


def action(step_id: str, following: Any = None, **keys: Any) -> dict[str, Any]:
    return {"id": step_id, "service": "s", "action": "run", "next": following, **keys}


def parallel(step_id: str, *branches: Any, **keys: Any) -> dict[str, Any]:
    return {"id": step_id, "type": "PARALLEL", "branches": [*branches], "next": None, **keys}


def refusals_of(document: Any) -> Any:
    """Return what is said of a document that is no definition."""
    with pytest.raises(DefinitionError) as caught:
        parse(document)
    assert caught.value.code == "validation_error"
    assert caught.value.status_code == 400
    return caught.value.errors


def errors_of(document: Any, **options: Any) -> Any:
    """Return the errors of a definition, without asking which services there are unless told."""
    return validation.validate(document, **{"directory": None, **options}).errors


def warnings_of(document: Any, **options: Any) -> Any:
    """Return the warnings of a definition that has no errors."""
    result = validation.validate(document, **{"directory": None, **options})
    assert result.errors == {}
    return result.warnings
