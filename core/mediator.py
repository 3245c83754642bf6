"""The mediator: requests go to the one handler of their type, events to whoever subscribed.

It lets an app ask for, or react to, what another app does without importing it. Handlers are
registered in `AppConfig.ready()`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from core.exceptions import NotFound

logger = logging.getLogger(__name__)

Handler = Callable[..., Any]


class RequestMediator:
    """A table of request type -> handler, and of event -> subscribers."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._subscribers: dict[str, list[Handler]] = defaultdict(list)

    def register_handler(self, request_type: str, handler: Handler) -> None:
        """Let `handler` answer requests of this type, in place of an earlier one."""
        self._handlers[request_type] = handler

    def send(self, request_type: str, **request: Any) -> Any:
        """Answer what the handler of this type answers.

        Raises:
            NotFound: nobody handles this type.
        """
        handler = self._handlers.get(request_type)
        if handler is None:
            known = ", ".join(sorted(self._handlers)) or "none"
            raise NotFound(f"Nothing handles '{request_type}'. Known: {known}.")
        return handler(**request)

    def subscribe(self, event: str, handler: Handler) -> None:
        """Call `handler` with the payload whenever this event is published."""
        if handler not in self._subscribers[event]:
            self._subscribers[event].append(handler)

    def publish(self, event: str, **payload: Any) -> None:
        """Tell the subscribers now. One that fails is logged and does not stop the others."""
        for handler in self._subscribers.get(event, ()):
            try:
                handler(**payload)
            except Exception:
                logger.exception("A subscriber of %s failed", event)

    def publish_on_commit(self, event: str, **payload: Any) -> None:
        """Tell the subscribers once the open transaction is durable, and never if it is not."""
        if event in self._subscribers:
            transaction.on_commit(lambda: self.publish(event, **payload))

    @contextmanager
    def recording(self, event: str) -> Iterator[list[dict[str, Any]]]:
        """Keep the payloads of an event in a list, in place of its subscribers; for tests."""
        payloads: list[dict[str, Any]] = []
        subscribers = self._subscribers.pop(event, [])
        self._subscribers[event] = [lambda **payload: payloads.append(payload)]
        try:
            yield payloads
        finally:
            del self._subscribers[event]
            for subscriber in subscribers:
                self.subscribe(event, subscriber)


mediator = RequestMediator()
