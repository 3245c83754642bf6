"""Builds the HTTP request of an action from its input (pure)."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from core.exceptions import SchemaViolation
from core.json.schema import first_of
from core.unknown_fields import (
    Fitted,
    UnknownFields,
    enumerate_fields,
    fit,
    refusals_of,
    warning_of,
)
from registry.calls.redaction import NO_MASK, Mask
from registry.calls.targets.resolver import ResolvedAction
from registry.policies.request_paths import LEAVES_SENTENCE, leaves_base

if TYPE_CHECKING:
    from registry.calls.auth.token_cache import CachedToken

MAX_REQUEST_BYTES = 1024 * 1024
_PLACEHOLDER = re.compile(r"\{([^{}/]+)\}")
_AS_WRITTEN = "/%:@!$&'()*+,;=~"
_BODILESS = ("GET", "HEAD", "OPTIONS", "DELETE")


JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body as it is sent, whatever it is; whoever makes it bounds its size."""

    media_type: str
    content: bytes = field(repr=False)


class OutboundRequest(NamedTuple):
    """A request to one endpoint; with a credential, whose secrets `mask` hides in the answer."""

    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str] = MappingProxyType({})
    tls: ssl.SSLContext | None = None
    mask: Mask = NO_MASK
    token: CachedToken | None = None
    media_type: str = JSON_TYPE

    def __repr__(self) -> str:
        return f"OutboundRequest({self.method!r})"  # the rest may hold secrets


@dataclass(frozen=True, slots=True)
class FittedInput:
    """The fields of an input that are sent, and warnings about the others."""

    sent: dict[str, Any]
    warnings: list[dict[str, Any]]


def fit_input(
    action: ResolvedAction, document: Mapping[str, Any], *, policy: str | None, trim: bool
) -> FittedInput:
    """Make an input fit the action's schema, as the policy of the caller or of the action says.

    A running document (`trim`) is addressed to nobody: what the action does not take of it is left
    out without a word, unless the caller itself says what is to happen.

    Raises:
        SchemaViolation: it does not fit; or it has unknown fields, and they are to be refused.
    """
    policy = policy or (None if trim else action.unknown_fields)
    if policy is None:
        sent = trim_to_schema(action, document) if trim else dict(document)
        check_input(action, sent)
        return FittedInput(sent, [])
    fields = _fit(action, document)
    if policy == UnknownFields.REJECT and fields.unknown:
        raise SchemaViolation(
            f"{action.title} does not know {enumerate_fields(fields.unknown)}.",
            errors=refusals_of(fields.unknown, action.title),
            service=action.service,
            action=action.action,
        )
    check_input(action, fields.known)
    if policy == UnknownFields.PASS:
        return FittedInput(dict(document), [])
    return FittedInput(fields.known, warning_of(fields.unknown, action.title))


def trim_to_schema(action: ResolvedAction, document: Mapping[str, Any]) -> dict[str, Any]:
    """Cut a running document down to what a closed input schema names; others take it whole.

    An action that refuses or strips unknown fields is given the known ones.
    """
    if action.unknown_fields in (UnknownFields.REJECT, UnknownFields.STRIP):
        return _fit(action, document).known
    allowed = action.input_schema.properties
    if allowed is None:
        return dict(document)
    return {key: value for key, value in document.items() if key in allowed}


def _fit(action: ResolvedAction, document: Mapping[str, Any]) -> Fitted:
    """Return the known and unknown fields; those of the path are known to every schema."""
    return fit(action.input_schema.document, document, also=_PLACEHOLDER.findall(action.path))


def check_input(action: ResolvedAction, document: Any) -> None:
    """Hold an input against the action's schema.

    Raises:
        SchemaViolation: with every part that breaks it.
    """
    problems = action.input_schema.problems(document)
    if problems:
        raise SchemaViolation(
            f"The input does not fit the action '{action.action}' of '{action.service}':"
            f" {first_of(problems)}",
            errors=problems,
            service=action.service,
            action=action.action,
        )


def prepare_request(
    action: ResolvedAction,
    *,
    url: str,
    document: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    raw: RawBody | None = None,
) -> OutboundRequest:
    """Fill the path from the input; the rest becomes the body, or the query of GET and DELETE.

    With `raw`, that is the body.

    Raises:
        SchemaViolation: a placeholder has no value, or one that leads out of the base URL; or the
            request is over 1 MiB.
    """
    fields, headers = dict(document), headers or {}
    # What the pattern splits off: text, name, text, name, ..., text.
    segments = _PLACEHOLDER.split(action.path)
    for position, name in list(enumerate(segments))[1::2]:
        segments[position] = _fill(action, document, name)
        fields.pop(name, None)
    segments[::2] = [quote(text, safe=_AS_WRITTEN) for text in segments[::2]]
    if leaves_base("".join(segments)):
        raise _elsewhere(action)
    url = url.rstrip("/") + "".join(segments)
    if action.method in _BODILESS:
        query = urlencode([(k, _query_text(v)) for k, v in fields.items() if v is not None])
        return OutboundRequest(action.method, f"{url}?{query}" if query else url, None, headers)
    if raw is not None:
        return OutboundRequest(action.method, url, raw.content, headers, media_type=raw.media_type)
    body = json.dumps(fields, separators=(",", ":")).encode()
    if len(body) > MAX_REQUEST_BYTES:
        raise SchemaViolation(
            f"The input of '{action.action}' is {len(body)} bytes; at most 1 MiB can be sent.",
            service=action.service,
            action=action.action,
        )
    return OutboundRequest(action.method, url, body, headers)


def _fill(action: ResolvedAction, document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    usable = isinstance(value, str | int) and not isinstance(value, bool)
    text = str(value) if usable else ""
    if not text:
        sentence = f"'{name}' is needed for the path {action.path} and must be a text or a number."
        raise SchemaViolation(
            f"The input does not fit the action '{action.action}' of '{action.service}':"
            f" {sentence}",
            errors={name: [sentence]},
            service=action.service,
            action=action.action,
        )
    return quote(text, safe="")


def _elsewhere(action: ResolvedAction) -> SchemaViolation:
    names = _PLACEHOLDER.findall(action.path) or ["path"]
    return SchemaViolation(
        f"{action.title} cannot be called at such a path: {action.path} filled in leads elsewhere.",
        errors={name: [LEAVES_SENTENCE] for name in names},
        service=action.service,
        action=action.action,
    )


def _query_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
