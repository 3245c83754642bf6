"""Makes operations methods: each client binds one to the hub that it uses for its kind.

A client says with `awaits_reads` and `awaits_writes` which kinds it awaits.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from service_integration_client.help_texts import document
from service_integration_client.hub import Hub, iterate_blocking, run_blocking
from service_integration_client.operations.pages import by_number

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    from service_integration_client.client import (
        AsyncServiceIntegrationClient,
        SyncServiceIntegrationClient,
        _BaseClient,
    )

    P = ParamSpec("P")
    Described = Callable[Concatenate[Hub, P], Coroutine[Any, Any, T]]
    Awaited = Callable[P, Coroutine[Any, Any, T]]
    Items = Callable[..., AsyncGenerator[Any, None]]
else:
    P = TypeVar("P")  # ParamSpec came with Python 3.10, and only type checkers need it


class Operation(Generic[P, T]):
    """The part that the three kinds of operations share.

    An instance of a client has it as a method, bound to one of its two hubs. A client's class has
    it as a function, for `help`.
    """

    def __init__(self, awaiting: Callable[..., Any], blocking: Callable[..., Any]) -> None:
        self._awaiting, self._blocking = awaiting, blocking
        self.__doc__ = awaiting.__doc__

    def _bound(self, client: _BaseClient | None, *, awaits: str) -> Any:
        if client is None:
            return self._function(awaits)
        if getattr(client, awaits):
            return MethodType(self._awaiting, client._awaiting)
        return MethodType(self._blocking, client._blocking)

    def _function(self, awaits: str) -> Callable[..., Any]:
        """Return the method as a function of the client."""

        @functools.wraps(self._blocking)
        def method(client: _BaseClient, *args: Any, **kwargs: Any) -> Any:
            return self._bound(client, awaits=awaits)(*args, **kwargs)

        signature = inspect.signature(self._blocking)
        hub, *rest = signature.parameters.values()
        parameters = [hub.replace(name="self", annotation=inspect.Parameter.empty), *rest]
        method.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return method


class _Call(Operation[P, T]):
    """One call to the hub, or some that make one answer."""

    def __init__(self, described: Described[P, T]) -> None:
        described.__doc__ = document(described)

        @functools.wraps(described)
        def answered(hub: Hub, *args: P.args, **kwargs: P.kwargs) -> T:
            return run_blocking(described(hub, *args, **kwargs))

        super().__init__(described, answered)


class Write(_Call[P, T]):
    """Awaited everywhere but in the client that awaits nothing."""

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, client: SyncServiceIntegrationClient, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: _BaseClient, owner: type) -> Awaited[P, T]: ...
    def __get__(self, client: _BaseClient | None, owner: type) -> Any:
        return self._bound(client, awaits="awaits_writes")


class Read(_Call[P, T]):
    """Plain everywhere but in the client that awaits everything."""

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, client: AsyncServiceIntegrationClient, owner: type) -> Awaited[P, T]: ...
    @overload
    def __get__(self, client: _BaseClient, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: _BaseClient | None, owner: type) -> Any:
        return self._bound(client, awaits="awaits_reads")


class _Items(Operation[P, T]):
    """Items one by one: ``for``, or ``async for`` where reads are awaited."""

    def __init__(self, items: Items, signature: inspect.Signature, text: str) -> None:
        @functools.wraps(items)
        def iterated(hub: Hub, *args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
            return iterate_blocking(items(hub, *args, **kwargs))

        functions: tuple[Any, Any] = (items, iterated)
        for function in functions:
            function.__doc__ = text
            function.__signature__ = signature.replace(return_annotation="Iterator[JsonObject]")
        super().__init__(*functions)

    def __set_name__(self, owner: type, name: str) -> None:
        for function in (self._awaiting, self._blocking):
            function.__name__, function.__qualname__ = name, name

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(
        self, client: AsyncServiceIntegrationClient, owner: type
    ) -> Callable[P, AsyncIterator[Any]]: ...
    @overload
    def __get__(self, client: _BaseClient, owner: type) -> Callable[P, Iterator[Any]]: ...
    def __get__(self, client: _BaseClient | None, owner: type) -> Any:
        return self._bound(client, awaits="awaits_reads")


class Pages(_Items[P, T]):
    """The items of all pages of a list.

    Takes the arguments of the operation that answers one page. `by` says how one page leads to the
    next.
    """

    def __init__(self, described: Described[P, T], *, by: Items = by_number) -> None:
        @functools.wraps(described)
        def items(hub: Hub, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Any, None]:
            return by(described, hub, *args, **kwargs)

        text = f"Each item of all pages, fetched as needed. {document(described)}"
        super().__init__(items, inspect.signature(described), text)


class Stream(_Items[P, T]):
    """What an asynchronous generator gives."""

    def __init__(self, described: Callable[Concatenate[Hub, P], AsyncGenerator[T, None]]) -> None:
        @functools.wraps(described)
        def items(hub: Hub, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Any, None]:
            return described(hub, *args, **kwargs)

        super().__init__(items, inspect.signature(described), document(described))
