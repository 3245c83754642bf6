"""The three clients and the one table of operations behind them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from service_integration_client.configuration import DEFAULT_TIMEOUT_SECONDS, configuration
from service_integration_client.hub import (
    AwaitingHub,
    BlockingHub,
    Edge,
    Hub,
    Sleep,
    Transport,
    run_blocking,
)
from service_integration_client.operations import executions, services, workflows

P = ParamSpec("P")
T = TypeVar("T")
Described = Callable[Concatenate[Hub, P], Coroutine[Any, Any, T]]
Awaited = Callable[P, Coroutine[Any, Any, T]]


class _Operation(Generic[P, T]):
    """An operation as a method: each client binds it to the hub that it uses for such a one."""

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


class _Write(_Operation[P, T]):
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
        if isinstance(client, SyncServiceIntegrationClient):
            return self._plain(client)
        return self._awaited(client)


class _Read(_Operation[P, T]):
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
        if isinstance(client, AsyncServiceIntegrationClient):
            return self._awaited(client)
        return self._plain(client)


class _Clients:
    """What the three clients share: how they are made, and their operations."""

    def __init__(
        self,
        base_url: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        api_key: str | None = None,
        *,
        transport: Transport | None = None,
        sleep: Sleep | None = None,
    ) -> None:
        """`base_url` and `api_key` default to SERVICE_INTEGRATION_URL and
        SERVICE_INTEGRATION_API_KEY; `timeout` is in seconds, for one answer. `transport` and
        `sleep` replace the network and the waiting between retries. Raises: ValueError.
        """
        self._configuration = configuration(base_url=base_url, api_key=api_key, timeout=timeout)
        edge = Edge(transport=transport, sleep=sleep)
        self._blocking = BlockingHub(self._configuration, edge=edge)
        self._awaiting = AwaitingHub(self._configuration, edge=edge)

    def __repr__(self) -> str:
        key = "None" if self._configuration.api_key is None else "'***'"
        return f"{type(self).__name__}({self._configuration.base_url!r}, api_key={key})"

    register_service = _Write(services.register_service)
    update_service = _Write(services.update_service)
    deregister_service = _Write(services.deregister_service)
    heartbeat = _Write(services.heartbeat)
    execute_service_action = _Write(services.execute_service_action)
    get_service = _Read(services.get_service)
    get_services = _Read(services.get_services)
    get_service_health = _Read(services.get_service_health)
    discover = _Read(services.discover)
    find_service = _Read(services.find_service)
    get_integration_health = _Read(services.get_integration_health)

    create_workflow = _Write(workflows.create_workflow)
    update_workflow = _Write(workflows.update_workflow)
    delete_workflow = _Write(workflows.delete_workflow)
    get_workflow = _Read(workflows.get_workflow)
    get_workflows = _Read(workflows.get_workflows)

    execute_workflow = _Write(executions.execute_workflow)
    execute_workflow_type = _Write(executions.execute_workflow_type)
    cancel_execution = _Write(executions.cancel_execution)
    retry_execution = _Write(executions.retry_execution)
    get_workflow_execution_status = _Read(executions.get_workflow_execution_status)
    get_workflow_executions = _Read(executions.get_workflow_executions)
    get_execution_steps = _Read(executions.get_execution_steps)


class _Closing(_Clients):
    """``with client:`` closes the blocking connections."""

    def close(self) -> None:
        """Close the connections; the client opens new ones when it is used again."""
        self._blocking.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _AsyncClosing(_Clients):
    """``async with client:`` closes all connections."""

    async def aclose(self) -> None:
        """Close the connections; the client opens new ones when it is used again."""
        self._blocking.close()
        await self._awaiting.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class ServiceIntegrationClient(_Closing, _AsyncClosing):
    """Writes are awaited, reads are plain: ``await client.create_workflow(...)`` and
    ``client.get_workflow(...)``.

    A read blocks its thread, the event loop's too; `AsyncServiceIntegrationClient` does not.
    """


class AsyncServiceIntegrationClient(_AsyncClosing):
    """Everything is awaited."""


class SyncServiceIntegrationClient(_Closing):
    """Nothing is awaited. Threads may share one."""
