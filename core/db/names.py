"""Names, which never read as an id, and how rows are found by either."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact

from core.identifiers import read_id

_UNFIT = re.compile(r"[^A-Za-z0-9._ -]+")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9._-])?")

validate_action_name = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z",
    "Use letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
)


def refuse_id(value: str) -> None:
    """Refuse a name that reads as an id: who looks for it would be given what has that id."""
    if read_id(value) is not None:
        raise ValidationError(
            f"'{value[:100]}' reads as an id, and an id is never a name. Add a word to it."
        )


def validate_name(value: str) -> None:
    """Refuse what is no name of a service, a workflow or anything else that is found by one."""
    if not _NAME.fullmatch(value):
        raise ValidationError(
            "Use letters, digits, blanks, dots, dashes and underscores, beginning with a letter or"
            " digit, and with no blank at the end."
        )
    refuse_id(value)


def fit_name(text: str) -> str:
    """Return a text as a name that the hub takes: other characters become dashes."""
    name = _UNFIT.sub("-", text.strip()).lstrip("._- ")[:100].rstrip(" ")
    if not name:
        return "unnamed"
    return f"{name[:92]}-service" if read_id(name) is not None else name


def name_in(reference: str) -> str:
    """Return a reference as the name that it is if it is no id."""
    return str(reference).strip().replace("\x00", "\ufffd")  # no name has it, no column takes it


def reference_filter(reference: str) -> Q:
    """Return a condition for "the id or the name", as every `{id}` of the API is read."""
    key = read_id(reference)
    if key is not None:
        return Q(id=key)
    # As the unique constraints have it, so that their indexes serve.
    return Q(Exact(Lower("name"), Lower(Value(name_in(reference)))))
