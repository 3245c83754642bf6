"""Give rows another name whose name reads as an id, which names must not any more."""

from __future__ import annotations

import logging
from itertools import count

from core.identifiers import read_id

logger = logging.getLogger(__name__)


def rename(model, kind):
    """Rename what has to be, and return the new names by the old ones."""
    renamed = {}
    for row in model.objects.only("pk", "name"):
        if read_id(row.name) is None:
            continue
        renamed[row.name] = name = list(_names(model, kind, row.name))[-1]
        model.objects.filter(pk=row.pk).update(name=name)
        logger.warning(
            "The %s '%s' is called '%s' from now on: a name must not read as an id",
            kind, row.name, name,
        )  # fmt: skip
    return renamed


def row_called_before(model, kind, name):
    """The row that was given another name, if one was: the last that has such a name."""
    taken = list(_names(model, kind, name))[:-1]
    return model.objects.filter(name__iexact=taken[-1]).first() if taken else None


def _names(model, kind, name):
    """The names that a row may get, up to the first that is free."""
    wanted = candidate = f"{kind}-{name}"[:95]
    for number in count(2):
        yield candidate
        if not model.objects.filter(name__iexact=candidate).exists():
            return
        candidate = f"{wanted}-{number}"
