"""A reference service: its name, its type and its actions."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from reference_services.problems import NotFoundError
from reference_services.schemas import JsonObject
from reference_services.store import ServiceStore


@dataclass(frozen=True)
class Call:
    """One call of an action: its checked input, and what the service may use to answer it."""

    input: JsonObject
    store: ServiceStore
    now: datetime
    folders: tuple[Path, ...] = ()
    # What `prepare` of the action returned.
    prepared: Any = None

    def get(self, name: str, default: Any = None) -> Any:
        """Return the input's value; `default` where it is absent or null."""
        value = self.input.get(name)
        return default if value is None else value

    def stored(self, kind: str) -> JsonObject:
        """Return the document that the input names by its id. Raises: NotFoundError."""
        document_id = self.input[f"{kind}_id"]
        document = self.store.get(kind, document_id)
        if document is None:
            raise NotFoundError(f"There is no {kind} {document_id}.")
        return document

    def keep(self, kind: str, document: JsonObject, *, id_field: str = "") -> JsonObject:
        """Keep a document by its id, and return it."""
        self.store.put(kind, document[id_field or f"{kind}_id"], document)
        return document

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True)
class Action:
    """One action. `path` may hold ``{names}`` that are taken from the input."""

    name: str
    method: str
    path: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject
    handler: Callable[[Call], Any]
    # What takes long, done before the handler, which has the store to itself meanwhile.
    prepare: Callable[[Call], Awaitable[Any]] | None = None

    def registration(self) -> JsonObject:
        return {
            "name": self.name,
            "method": self.method,
            "path": self.path,
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "idempotent": True,
        }


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Service:
    """A service that can be run, registered and called.

    `build` gives the application of one that speaks a protocol of its own, in place of actions.
    """

    name: str
    type: str
    description: str
    version: str = "1.0.0"
    tags: tuple[str, ...] = ("reference",)
    actions: list[Action] = field(default_factory=list)
    build: Callable[[], web.Application] | None = None

    def action(
        self,
        method: str,
        path: str,
        description: str,
        *,
        input_schema: JsonObject,
        output_schema: JsonObject,
        prepare: Callable[[Call], Awaitable[Any]] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Make a function the action of its name."""

        def add(handler: Handler) -> Handler:
            name = handler.__name__
            self.actions.append(
                Action(
                    name, method, path, description, input_schema, output_schema, handler, prepare
                )
            )
            return handler

        return add
