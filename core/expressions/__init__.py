"""The expression language of workflows and mappings: bounded JMESPath, and templates of it.

An expression reads a scope (see `build_scope`) and gives a JSON value. It cannot loop, call out,
or cost more than its limits allow, whoever wrote it. Results share structure with the scope
and with the definition: treat them as read-only.
"""

from __future__ import annotations

from core.expressions.arguments import MAX_COMPARED_CHARACTERS
from core.expressions.budget import MAX_SECONDS, MAX_VISITS, Recorded
from core.expressions.checks import MAX_DEPTH
from core.expressions.compiler import MAX_TEXT, Expression, compile_expression
from core.expressions.errors import ExpressionError
from core.expressions.scope import ABSENT, ROOT_NAMES, StepOutcomes, build_scope
from core.expressions.template import (
    MAX_TEMPLATE_DEPTH,
    MAX_TEMPLATE_SECONDS,
    Path,
    Template,
    compile_template,
    join_path,
)
from core.expressions.values import (
    MAX_ELEMENTS,
    MAX_RESULT_BYTES,
    is_too_deep,
    json_size,
    json_type,
)
from core.suggestions import did_you_mean

__all__ = [
    "ABSENT",
    "MAX_COMPARED_CHARACTERS",
    "MAX_DEPTH",
    "MAX_ELEMENTS",
    "MAX_RESULT_BYTES",
    "MAX_SECONDS",
    "MAX_TEMPLATE_DEPTH",
    "MAX_TEMPLATE_SECONDS",
    "MAX_TEXT",
    "MAX_VISITS",
    "ROOT_NAMES",
    "Expression",
    "ExpressionError",
    "Path",
    "Recorded",
    "StepOutcomes",
    "Template",
    "build_scope",
    "compile_expression",
    "compile_template",
    "did_you_mean",
    "is_too_deep",
    "join_path",
    "json_size",
    "json_type",
]
