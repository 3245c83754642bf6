"""The mapping of requests and answers: templates of the one expression language (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from core.expressions import ExpressionError, Recorded, Template, compile_template, did_you_mean

REQUEST_NAMES = ("input", "context", "execution")
ANSWER_NAMES = (*REQUEST_NAMES, "output")
# What callers know these by.
_OTHER_NAMES = {"payload": "input", "body": "input", "response": "output", "answer": "output"}


def mapping_problems(value: Any, names: Collection[str]) -> dict[str, str]:
    """Return what is wrong with a mapping, by its path; `names` is what it may read."""
    if not isinstance(value, dict | list) and not _is_expression(value):
        return {"": "Must be an object, or an expression such as $.input."}
    try:
        template = compile_template(value)
    except ExpressionError as error:
        return dict(error.details["errors"])
    problems = {}
    for path, expression in template.expressions:
        for root in sorted(expression.roots - set(names)):
            problems[path] = _unknown_name(root, names)
    return problems


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("$.")


def _unknown_name(root: str, names: Collection[str]) -> str:
    meant = _OTHER_NAMES.get(root)
    if meant in names:
        return f"There is no '{root}' here: it is called '{meant}'."
    close = did_you_mean(root, names)
    return f"There is no '{root}' here{close} It may read {', '.join(names)}."


def _refuse(value: Any, names: Collection[str]) -> None:
    problems = mapping_problems(value, names)
    if problems:
        raise ValidationError([f"{p}: {s}" if p else s for p, s in problems.items()])


def validate_request_mapping(value: Any) -> None:
    """Refuse what is no mapping of a request."""
    _refuse(value, REQUEST_NAMES)


def validate_response_mapping(value: Any) -> None:
    """Refuse what is no mapping of an answer."""
    _refuse(value, ANSWER_NAMES)


def map_request(mapping: Any, scope: Mapping[str, Any], recorded: Recorded) -> dict[str, Any]:
    """Return what is sent: the input itself where there is no mapping.

    Raises:
        ExpressionError: an expression fails on this input, or gives no object.
    """
    value = _render(mapping, scope, recorded, otherwise=scope["input"])
    if not isinstance(value, dict):
        raise ExpressionError(
            f"request_mapping: it gives {type(value).__name__}, and a request is an object.",
            errors={"request_mapping": ["It must give an object."]},
        )
    return value


def map_answer(mapping: Any, scope: Mapping[str, Any], recorded: Recorded) -> Any:
    """Return what is answered: the answer itself where there is no mapping.

    Raises:
        ExpressionError: an expression fails on this answer.
    """
    return _render(mapping, scope, recorded, otherwise=scope["output"])


def _render(mapping: Any, scope: Mapping[str, Any], recorded: Recorded, *, otherwise: Any) -> Any:
    if mapping is None:
        return otherwise
    template: Template = compile_template(mapping)
    return template.render(scope, recorded)
