"""Completes the help text of operations: arguments of one name are described once for all."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_KINDS = (
    "service", "workflow", "schedule", "connection", "integration", "credential", "webhook",
)  # fmt: skip
ARGUMENTS = {
    **{f"{kind}_id": f"the id or name of the {kind}" for kind in _KINDS},
    **{kind: f"the id or name of a {kind}" for kind in ("service", "workflow", "credential")},
    **dict.fromkeys(("created_after", "created_before", "expires_at"), "an RFC 3339 time"),
    **dict.fromkeys(("url", "base_url"), "where it answers, with http:// or https://"),
    **dict.fromkeys(("input_data", "payload"), "what it is given, an object"),
    "topics": "services, incidents, executions; else all that may be read",
    "executions": "ids of executions of whose steps is told too",
    "last_event_id": "the `event_id` of the last event that is known",
    "page": "which page, from 1",
    "per_page": "how many items a page has, at most 200; the hub gives 10",
    "cursor": "the `cursor` of the page before; an empty one begins",
    "ordering": "the field to sort by, with - before it for the other direction",
    "search": "a text that the name or the description has",
    "type": "the kind of thing, one of the hub's words in any case",
    "status": "one of the hub's words in any case",
    "state": "CLOSED, OPEN, HALF_OPEN, FORCED_OPEN or DISABLED",
    "outcome": "how it came out, one of the hub's words",
    "name": "its name, which nothing else of its kind has",
    "description": "a text for people",
    "metadata": "an object of your own",
    "reason": "why, as everybody will read it",
    "service_names": "patterns of names that it may register, such as billing-*",
    "service_types": "patterns of types that it may register, such as PLANNING_SYSTEM",
    "key_id": "the id or name of the key",
    "instance_id": "the id of the instance",
    "execution_id": "the id of the execution",
    "breaker_id": "the id of the breaker, or of what it guards",
    "severity": "WARNING or CRITICAL",
    "page_id": "the id or name of the status page",
    "title": "what is read at its top",
    "visibility": "OFF, KEY (who has a key or an account) or PUBLIC",
    "components": "a list of services that are shown, each with `service`, `name` and `group`",
    "show_uptime": "whether 90 days and the figures are shown",
    "show_outages": "whether outages are shown by themselves, in general words",
    "window": "24h, 7d, 30d, 90d or 365d",
    "maintenance": "what maintenance counts as: EXCLUDE (left out), COUNT_UP or COUNT_AS_IS",
    "min_severity": "WARNING or CRITICAL: what is less grave is not told",
    "subjects": "only incidents of these kinds, such as SERVICE_DOWN; empty for all",
    "services": "only of services of these names, such as pay-*; empty for all",
    "send_resolved": "whether the end is told too",
    "group_wait_seconds": "so long others are waited for before the first message",
    "group_interval_seconds": "so long it takes at least from one message on a subject to the next",
    "repeat_seconds": "after so long it is told again; 0 for never",
    "per_minute": "the most messages a minute",
    "channel": "the name of a channel",
    "incident_id": "the id of the incident",
    "text": "what is wrong, or what is said of it",
    "impact": "NONE, MINOR, MAJOR or CRITICAL",
    "public": "whether status pages show it",
    "page_status": "how far it is, in the words of status pages",
    "assigned_to": "whose it is",
    "to": "the name of a person or team; empty for nobody",
    "into": "the id of another incident",
    "resolution": "how it ended",
    "channel_id": "the id or name of the channel",
    "message_id": "the id of the message",
    "operation_id": "the id of the bulk operation",
    "output": "what it answers, an object",
    "context": "what goes along with it and is in its history, such as a `request_id`",
    "form": "what its form asks for, by field",
    "comment": "a text for the history",
    "step": "the id of a step",
    "steps": "a list of steps",
    "definition": "what the definition says besides its steps: `output`, `retry`, `timeout`",
    "number": "the number of the version",
    "before": "the number of the one version",
    "after": "the number of the other version",
    "priority": "from -100 to 100; higher comes first",
    "workflow_type": "such as PROJECT_PLANNING",
    "wait": "whether to wait until it ends",
    "timeout": "how many seconds to wait at most",
    "seconds": "for so many seconds",
    "raise_on_failure": "whether one that does not complete raises",
    "idempotency_key": "the same key is the same execution",
    "until": "the time, with its offset, at which it ends by itself",
    "correlation_id": "the one that was given in the context",
    "expression": "JMESPath over `input`, `steps` and `context`",
    "action": "the name of an action",
    "actions": "a list of `name`, `description`, `method`, `path`, `input_schema`, `output_schema`",
    "version": "its version",
    "tag": "one of its tags",
    "tags": "a list of words",
    "zone": "where it runs, such as a data centre",
    "weight": "its share of calls against that of others, 100 unless given",
    "endpoint": "the same as `url`",
    "health_url": "what the hub asks for its health",
    "include_offline": "also those that cannot be called now",
    "driver": "what it is spoken to with, by its type unless given",
    "host": "the name or address of the machine",
    "port": "the number of the port, by its type unless given",
    "database": "the name of the database, or its number",
    "username": "the name of the user; a secret belongs into a credential",
    "config": "settings of its own, an object",
    "limits": "how often it may be called, an object",
    "breaker": "the settings of its circuit breaker, an object",
    "criticality": "how much depends on it, one of the hub's words",
    "check_interval_seconds": "seconds from one check to the next, 0 for none",
    "secret": "its secret parts by name; never answered",
    "attributes": "its parts that are no secret, an object",
    "allowed_origins": "a list of `https://host:port` that it is sent to",
    "source": "the name of the service that asks",
    "target": "what is called",
    "request_mapping": "a template that makes the request, null for what comes in as it is",
    "response_mapping": "a template that makes the output, null for the answer as it is",
    "unknown_fields": "REJECT, STRIP or PASS fields that the target does not know",
    "mapping": "a template that makes the input from the message, null for the message",
    "effect": "EXECUTION, which starts a workflow, or SIGNAL",
    "signal": "the name of the signal, or an expression that gives it",
    "find": "an expression over the message that finds the execution",
    "find_by": "what `find` gives: CORRELATION_ID or EXECUTION_ID",
    "enabled": "whether it is switched on",
    "subject": "MASS_EXPIRY or DISCOVERY_BACKEND",
    "filter": "what `get_executions` filters by",
}  # fmt: skip
EVERY_CALL = (
    "Every call also raises AuthenticationError, PermissionDeniedError, RateLimitedError,\n"
    "RequestTimeoutError, and MaxRetriesExceededError, ServiceUnavailableError or\n"
    "CircuitOpenError when the hub cannot be reached."
)


def document(operation: Callable[..., Any]) -> str:
    """Return the docstring, the arguments that it leaves out, and the errors of every call."""
    # Python 3.13 takes the indentation away itself.
    text, code = inspect.cleandoc(operation.__doc__ or ""), operation.__code__
    if text.endswith(EVERY_CALL):
        return text
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    left_out = [name for name in names if f"`{name}`" not in text and name in ARGUMENTS]
    listed = "".join(f"\n    {name}: {ARGUMENTS[name]}" for name in left_out)
    arguments = f"\n\nArguments:{listed}" if listed else ""
    return f"{text.rstrip()}{arguments}\n\n{EVERY_CALL}"
