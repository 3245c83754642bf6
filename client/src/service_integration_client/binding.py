"""How an operation becomes a method: each client binds it to the hub that it uses for such a one.

A client says with `awaits_reads` and `awaits_writes` which kinds it awaits.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from service_integration_client.hub import Hub, iterate_blocking, run_blocking
from service_integration_client.operations.pages import by_number

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec, Self

    from service_integration_client.client import (
        AsyncServiceIntegrationClient,
        SyncServiceIntegrationClient,
        _Clients,
    )

    P = ParamSpec("P")
    Described = Callable[Concatenate[Hub, P], Coroutine[Any, Any, T]]
    Awaited = Callable[P, Coroutine[Any, Any, T]]
    Items = Callable[..., AsyncIterator[Any]]
else:
    P = TypeVar("P")  # ParamSpec came with Python 3.10, and only type checkers need it


class Operation(Generic[P, T]):
    """What the three kinds share."""

    def __init__(self, described: Described[P, T]) -> None:
        self._described = described
        self.__name__ = described.__name__
        self.__doc__ = described.__doc__
        self.__wrapped__ = described

    def _awaited(self, client: _Clients) -> Awaited[P, T]:
        return functools.partial(self._described, client._awaiting)

    def _plain(self, client: _Clients) -> Callable[P, T]:
        return functools.partial(_answered, self._described, client._blocking)


def _answered(described: Described[P, T], hub: Hub, *args: P.args, **kwargs: P.kwargs) -> T:
    return run_blocking(described(hub, *args, **kwargs))


class Write(Operation[P, T]):
    """Awaited everywhere but in the client that awaits nothing."""

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: SyncServiceIntegrationClient, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: _Clients, owner: type) -> Awaited[P, T]: ...
    def __get__(self, client: _Clients | None, owner: type) -> Any:
        if client is None:
            return self
        return self._awaited(client) if client.awaits_writes else self._plain(client)


class Read(Operation[P, T]):
    """Plain everywhere but in the client that awaits everything."""

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: AsyncServiceIntegrationClient, owner: type) -> Awaited[P, T]: ...
    @overload
    def __get__(self, client: _Clients, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: _Clients | None, owner: type) -> Any:
        if client is None:
            return self
        return self._awaited(client) if client.awaits_reads else self._plain(client)


class Pages(Operation[P, T]):
    """The items of all pages of a list: ``for``, or ``async for`` where reads are awaited.

    Takes the arguments of the operation that answers one page. `by` says how one page leads to the
    next.
    """

    def __init__(self, described: Described[P, T], *, by: Items = by_number) -> None:
        super().__init__(described)
        self._items = functools.partial(by, described)
        self.__doc__ = f"Each item of all pages, fetched as needed. {described.__doc__}"

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self, client: AsyncServiceIntegrationClient, owner: type
    ) -> Callable[P, AsyncIterator[Any]]: ...
    @overload
    def __get__(self, client: _Clients, owner: type) -> Callable[P, Iterator[Any]]: ...
    def __get__(self, client: _Clients | None, owner: type) -> Any:
        if client is None:
            return self
        if client.awaits_reads:
            return functools.partial(self._items, client._awaiting)
        return functools.partial(_iterated, self._items, client._blocking)


def _iterated(items: Items, hub: Hub, *args: Any, **kwargs: Any) -> Iterator[Any]:
    return iterate_blocking(items(hub, *args, **kwargs))
