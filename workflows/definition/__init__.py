"""Reads the JSON document of a workflow definition into frozen values.

`parse` checks the form of a document: keys, types, ranges, expressions, and that every step that is
named exists. What needs the whole graph or the registry is checked by `workflows.validation`.
"""

from __future__ import annotations

from workflows.definition.bindings import NAMED_KINDS, bind
from workflows.definition.document import (
    DOCUMENT_KEYS,
    DefinitionError,
    DocumentReading,
    parse,
    read,
)
from workflows.definition.fields import extend_path
from workflows.definition.findings import Findings
from workflows.definition.kinds import KINDS, PAUSING_KINDS
from workflows.definition.model import (
    NO_RETRY,
    Block,
    Compensation,
    Definition,
    ErrorRoute,
    Fallback,
    RetryPolicy,
    Route,
    Step,
    StepTarget,
)

__all__ = [
    "DOCUMENT_KEYS",
    "KINDS",
    "NAMED_KINDS",
    "NO_RETRY",
    "PAUSING_KINDS",
    "Block",
    "Compensation",
    "Definition",
    "DefinitionError",
    "DocumentReading",
    "ErrorRoute",
    "Fallback",
    "Findings",
    "RetryPolicy",
    "Route",
    "Step",
    "StepTarget",
    "bind",
    "extend_path",
    "parse",
    "read",
]
