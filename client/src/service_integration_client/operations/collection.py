"""What is alike for all resources of the hub: to list, read, make, change, remove, order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import (
    JsonObject,
    Request,
    create,
    delete,
    read,
    segment,
    update,
)


@dataclass(frozen=True)
class Collection:
    """Where the resources of a kind are, and what an error calls one of them.

    A field or a query value of None is not sent. An id or name that would lead to another path
    raises ValueError.
    """

    path: str
    kind: str

    def at(self, reference: object, *rest: object) -> str:
        """The path of one of them, or of what lies below it."""
        return "/".join((self.path, *map(segment, (reference, *rest))))

    def about(self, reference: object) -> tuple[str, str]:
        return (self.kind, str(reference))

    async def page(self, hub: Hub, /, **filters: Any) -> JsonObject:
        return await answered(hub, read(self.path, **filters))

    async def create(self, hub: Hub, /, **fields: Any) -> JsonObject:
        return await answered(hub, create(self.path, body=fields))

    async def get(self, hub: Hub, reference: object, /, *rest: object, **query: Any) -> JsonObject:
        """One of them, or what lies below it."""
        path = self.at(reference, *rest)
        return await answered(hub, read(path, about=self.about(reference), **query))

    async def update(self, hub: Hub, reference: object, /, **fields: Any) -> JsonObject:
        request = update(self.at(reference), body=fields, about=self.about(reference))
        return await answered(hub, request)

    async def delete(self, hub: Hub, reference: object, /, *, force: bool = False) -> JsonObject:
        request = delete(self.at(reference), about=self.about(reference), force=force)
        answer = await hub.call(request)
        return answer or {"id": reference, "deleted": True}

    async def order(
        self, hub: Hub, reference: object, /, *rest: object, **fields: Any
    ) -> JsonObject:
        """POST what is to be done with one of them to the path below it."""
        path = self.at(reference, *rest)
        return await answered(hub, create(path, body=fields, about=self.about(reference)))


async def answered(hub: Hub, request: Request) -> JsonObject:
    """The answer to a request that answers an object."""
    answer: JsonObject = await hub.call(request)
    return answer
