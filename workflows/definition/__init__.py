"""Reads the JSON document of a workflow definition into frozen values.

`parse` checks the form of a document: keys, types, ranges, expressions, and that every step that is
named exists. What needs the whole graph or the registry is checked by `workflows.validation`.
"""

from __future__ import annotations

from workflows.definition.bindings import NAMED_KINDS, bind
from workflows.definition.blocks import MAX_CONTAINERS
from workflows.definition.document import (
    DOCUMENT_KEYS,
    MAX_BYTES,
    MAX_EXECUTIONS,
    MAX_NESTING,
    MAX_STEPS,
    DefinitionError,
    DocumentReading,
    parse,
    read,
)
from workflows.definition.fields import extend_path
from workflows.definition.findings import Findings
from workflows.definition.kinds import (
    ENDING_KINDS,
    KINDS,
    PAUSING_KINDS,
    TARGET_KINDS,
    StepKind,
)
from workflows.definition.model import (
    MAX_RETRY_AFTER_SECONDS,
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
from workflows.definition.retry import (
    BACKOFFS,
    MAX_ATTEMPTS,
    MAX_ELAPSED_SECONDS,
    MAX_TIMEOUT_SECONDS,
    MAX_WAIT_SECONDS,
    RETRY_KINDS,
)
from workflows.definition.routes import ANY_CODE, MAX_ROUTES

__all__ = [
    "ANY_CODE",
    "BACKOFFS",
    "DOCUMENT_KEYS",
    "ENDING_KINDS",
    "KINDS",
    "MAX_ATTEMPTS",
    "MAX_BYTES",
    "MAX_CONTAINERS",
    "MAX_ELAPSED_SECONDS",
    "MAX_EXECUTIONS",
    "MAX_NESTING",
    "MAX_RETRY_AFTER_SECONDS",
    "MAX_ROUTES",
    "MAX_STEPS",
    "MAX_TIMEOUT_SECONDS",
    "MAX_WAIT_SECONDS",
    "NAMED_KINDS",
    "NO_RETRY",
    "PAUSING_KINDS",
    "RETRY_KINDS",
    "TARGET_KINDS",
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
    "StepKind",
    "StepTarget",
    "bind",
    "extend_path",
    "parse",
    "read",
]
