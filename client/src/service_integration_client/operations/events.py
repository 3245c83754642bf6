"""Events of the hub, as Server-Sent Events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from service_integration_client import exceptions as errors
from service_integration_client.hub import Hub, closing
from service_integration_client.requests import JsonObject, make_request
from service_integration_client.retries import BackoffPolicy
from service_integration_client.strict_json import parse_json

# A hub that restarts is waited for.
AGAIN = BackoffPolicy(retries=10, base_delay=0.5, max_delay=15.0)
# The hub says something every 15 seconds.
SILENT_SECONDS = 45.0


async def events(
    hub: Hub,
    topics: Iterable[str] = (),
    *,
    executions: Iterable[str] = (),
    last_event_id: str | None = None,
) -> AsyncGenerator[JsonObject, None]:
    """What happens, as it happens, for ever: ``{"event_id", "type", "topic", "id", "name", ...}``.

    With `last_event_id` also what came since. An event may come twice. One of the type ``reset``
    has `topics` that are to be read anew, as it is not known what came there. A stream that breaks
    is taken up where it was. Raises: ValidationError, PermissionDeniedError.
    """
    fields = {"topics": ",".join(topics) or None, "executions": ",".join(executions) or None}
    request = make_request("GET", "/events", fields)
    messages, failures = _Messages(last_event_id), 0
    while True:
        headers = {"Accept": "text/event-stream"}
        if messages.last_event_id:
            headers["Last-Event-ID"] = messages.last_event_id
        pause = AGAIN.base_delay
        try:
            lines = hub.lines(request, headers, silent_seconds=SILENT_SECONDS)
            async with closing(lines):
                async for line in lines:
                    failures = 0
                    message = messages.take(line)
                    if message is not None:
                        yield message
        except errors.ServiceUnavailableError as error:
            failures += 1
            delay = AGAIN.delay(failures, retry_after=error.retry_after)
            if delay is None:
                raise
            pause = delay
        messages.forget()
        await hub.sleep(pause)


class _Messages:
    """Puts messages together from lines; `last_event_id` is that of the last one."""

    def __init__(self, last_event_id: str | None) -> None:
        self.last_event_id = last_event_id or ""
        self.forget()

    def forget(self) -> None:
        """Begin anew, without what is not complete."""
        self._fields: dict[str, Any] = {}

    def take(self, line: str) -> JsonObject | None:
        """Return the message that a line ends, if it does."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value[1:] if value.startswith(" ") else value
            return None
        fields = self._fields
        self.forget()
        self.last_event_id = fields.get("id", self.last_event_id)
        if "data" not in fields:
            return None
        data = parse_json(fields["data"].encode())
        return {"event_id": self.last_event_id, "type": fields.get("event", "message"), **data}
