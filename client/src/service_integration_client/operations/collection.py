"""The resources of a kind, and how the arguments of an operation become a request about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import JsonObject, Request, make_request, segment

_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Collection:
    """The resources of one kind below `path`; an error calls one of them `kind`.

    An operation says its endpoint below that, such as ``POST /{connection_id}/disable``, and hands
    over its arguments: mostly just `locals()`, so that they stand in its signature and nowhere
    else. Those that the path names become parts of it, and the first of them is what errors are
    about. The others, without the hub, are the fields of the request; None is not sent.

    An id or name that would lead to another path raises ValueError.
    """

    path: str
    kind: str

    def request(
        self,
        endpoint: str,
        arguments: Mapping[str, Any],
        *,
        is_question: bool = False,
        wait_seconds: float = 0.0,
    ) -> Request:
        """Return the request; see `make_request`. Its answer may come `wait_seconds` late."""
        method, _, below = endpoint.partition(" ")
        template, own_names = self.path + below, _NAME.findall(below)
        parts = {name: segment(arguments[name]) for name in _NAME.findall(template)}
        fields = {
            name: value
            for name, value in arguments.items()
            if name not in parts and not isinstance(value, Hub)
        }
        path = template.format_map(parts)
        request = make_request(method, path, fields, is_question=is_question)
        about = (self.kind, str(arguments[own_names[0]])) if own_names else (None, None)
        return replace(request, about=about, wait_seconds=wait_seconds)

    async def call(
        self, hub: Hub, endpoint: str, arguments: Mapping[str, Any], **options: Any
    ) -> JsonObject:
        """Return the answer to a request; `options` are those of `request`."""
        return await answered(hub, self.request(endpoint, arguments, **options))

    async def delete(self, hub: Hub, below: str, arguments: Mapping[str, Any]) -> JsonObject:
        """DELETE the resource that the path ends with; `force` is sent when it is true."""
        fields = {**arguments, "force": True if arguments.get("force") else None}
        answer = await self.call(hub, f"DELETE {below}", fields)
        return answer or {"id": arguments[_NAME.findall(below)[-1]], "deleted": True}


async def answered(hub: Hub, request: Request) -> JsonObject:
    """Return the answer to a request that answers an object."""
    answer: JsonObject = await hub.call(request)
    return answer
