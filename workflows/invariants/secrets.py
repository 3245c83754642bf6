"""I8: whether known secrets can be read in rows, files or messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast

from workflows.invariants.model import Violation

PAGE_SIZE = 1000
MOST_MESSAGES = 1000


def spellings(secret: str) -> set[str]:
    """Return how a secret may be written: as it is, in JSON, in a URL, in base64."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode().rstrip("="),
    }


def check_secrets(
    secrets: Mapping[str, str], *, logs: Iterable[Path] = (), since: Any = None
) -> Iterator[Violation]:
    """Look for secrets, given by a name to speak of them, wherever the hub keeps text."""
    wanted = {name: spellings(secret) for name, secret in secrets.items() if secret}
    for model in apps.get_models():
        yield from _check_table(model, wanted, since)
    for path in logs:
        yield from _check_text(f"the file {path}", _lines_of(path), wanted)
    yield from _check_text("a message", _messages(), wanted)


def _check_table(
    model: type[models.Model], wanted: Mapping[str, set[str]], since: Any
) -> Iterator[Violation]:
    texts = [f for f in model._meta.concrete_fields if _holds_text(f)]
    if not texts or model._meta.proxy or not model._meta.managed:
        return
    rows = model._default_manager.order_by("pk")
    if since is not None and any(f.name == "created_at" for f in model._meta.fields):
        rows = rows.filter(created_at__gte=since)
    shown = {f"text_{f.name}": Cast(f.name, models.TextField()) for f in texts}
    for first, last in _ranges(rows):
        page = rows.filter(pk__gte=first, pk__lte=last).annotate(**shown)
        for name, forms in wanted.items():
            anywhere = Q()
            for column in shown:
                for form in forms:
                    anywhere |= Q(**{f"{column}__contains": form})
            for pk in page.filter(anywhere).values_list("pk", flat=True):
                place = f"{model._meta.db_table} {pk}"
                yield Violation("I8", "", place, f"{name} can be read in this row.")


def _holds_text(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.CharField | models.TextField | models.JSONField)


def _ranges(rows: models.QuerySet[Any]) -> Iterator[tuple[Any, Any]]:
    """First and last key of each page."""
    last = None
    while True:
        left = rows if last is None else rows.filter(pk__gt=last)
        keys = list(left.values_list("pk", flat=True)[:PAGE_SIZE])
        if not keys:
            return
        last = keys[-1]
        yield keys[0], last


def _check_text(
    place: str, texts: Iterable[str], wanted: Mapping[str, set[str]]
) -> Iterator[Violation]:
    left = dict(wanted)
    for text in texts:
        for name in [n for n, forms in left.items() if any(form in text for form in forms)]:
            del left[name]
            yield Violation("I8", "", place, f"{name} can be read there.")


def _lines_of(path: Path) -> Iterator[str]:
    with path.open(errors="replace") as lines:
        yield from lines


def _messages() -> Iterator[str]:
    """Return what waits in the broker, as far as it is text; bounded."""
    if not settings.REDIS_URL:
        for file in sorted((settings.BROKER_DIR / "messages").glob("*"))[:MOST_MESSAGES]:
            yield file.read_text(errors="replace") if file.is_file() else ""
        return
    client = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, socket_timeout=5)
    readers: dict[str, Callable[[str], Any]] = {
        "list": lambda key: client.lrange(key, 0, MOST_MESSAGES),
        "hash": client.hgetall,
    }
    with client:
        for key in client.scan_iter(match=f"{settings.SERVICE_NAME}:*", count=1000):
            reader = readers.get(str(client.type(key)))
            if reader is not None:
                yield str(reader(key))
