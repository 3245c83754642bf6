"""Conditional requests (RFC 9110, section 13): entity tags, and what a caller insists on.

A tag has two parts, `"<version>-<content>"`. The version changes with every change that somebody
makes; the content is a digest of what is answered, which also shows what was merely observed, such
as a heartbeat. A change is held against the version, a read against both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, HttpResponseNotModified

from core.exceptions import PreconditionFailed, ValidationFailed

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_SEPARATOR = re.compile(r"[ \t]*(?:,[ \t]*)*")
ANY = "*"


def etag_of(row: Any) -> str:
    """Return the entity tag of a row without its content: every change of the row changes it."""
    return f'"{row.pk.hex}-{int(row.updated_at.timestamp() * 1_000_000):x}"'


def read_tags(text: str, header: str) -> list[tuple[bool, str]] | None:
    """Return the tags of a header, each with whether it is weak; None for `*`, which is any.

    Raises:
        ValidationFailed: it is neither `*` nor a list of tags.
    """
    if text.strip() == ANY:
        return None
    tags, position = [], _end_of(_SEPARATOR, text, 0)
    while position < len(text):
        match = _TAG.match(text, position)
        following = _end_of(_SEPARATOR, text, match.end()) if match else position
        if match is None or ("," not in text[match.end() : following] and following < len(text)):
            sentence = 'Must be * or entity tags in quotes, such as "a", W/"b".'
            raise ValidationFailed.at(header, sentence)
        tags.append((match[1] is not None, match[2]))
        position = following
    return tags


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def check_precondition(request: Any, row: Any) -> bool:
    """Hold `If-Match` and `If-None-Match` of a change against the row.

    Return whether the caller insists on the row as it is. A weak tag never matches for `If-Match`.

    Raises:
        PreconditionFailed: somebody changed it since the caller read it; or it is there, or as it
            was, though the caller wants it not to be.
        ValidationFailed: a header cannot be read.
    """
    wanted = request.headers.get("If-Match", "")
    unwanted = request.headers.get("If-None-Match", "")
    tags = read_tags(wanted, "If-Match") if wanted else None
    if tags is not None and not _names(row, [tag for is_weak, tag in tags if not is_weak]):
        raise PreconditionFailed("It was changed since you read it. Read it again first.")
    if unwanted:
        others = read_tags(unwanted, "If-None-Match")
        if others is None or _names(row, [tag for _, tag in others]):
            raise PreconditionFailed("It is what If-None-Match says that it must not be.")
    return tags is not None


def _names(row: Any, tags: list[str]) -> bool:
    version = etag_of(row).strip('"')
    return any(tag == version or tag.startswith(f"{version}-") for tag in tags)


def tag_content(request: Any) -> Callable[[Any], HttpResponse | None]:
    """Return what completes the tag of a rendered answer; a read that has it already gets 304."""

    def complete(response: Any) -> HttpResponse | None:
        tag = whole_tag(response.headers["ETag"], response.content)
        response.headers["ETag"] = tag
        if request.method not in ("GET", "HEAD") or not _has(request, tag.strip('"')):
            return None
        unchanged = HttpResponseNotModified()
        unchanged.headers["ETag"] = response.headers["ETag"]
        return unchanged

    return complete


def whole_tag(version: str, content: bytes) -> str:
    """Return the tag of an answer: that of `etag_of`, with what is answered."""
    return f'"{version[1:-1]}-{_digest_of(content)}"'


def _digest_of(content: bytes) -> str:
    """Return a digest in which the order of keys, which PostgreSQL changes, says nothing."""
    ordered = json.dumps(json.loads(content), sort_keys=True).encode()
    return hashlib.blake2b(ordered, digest_size=8).hexdigest()


def _has(request: Any, tag: str) -> bool:
    """Return whether the caller has this answer; a header that cannot be read names none."""
    try:
        tags = read_tags(request.headers.get("If-None-Match", ""), "If-None-Match")
    except ValidationFailed:
        return False
    return tags is None or any(tag_named == tag for _, tag_named in tags)
