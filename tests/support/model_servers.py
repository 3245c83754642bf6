"""The local model server on a free port, in a thread: the providers of the tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from aiohttp.test_utils import TestServer

from reference_services.model_server.app import build_model_app
from reference_services.model_server.incoming import KEY_PREFIX
from reference_services.model_server.state import STATE, ModelServerState, ReceivedRequest
from registry.calls.event_loop_thread import LoopThread
from tests.support.waiting import PATIENCE


class ModelServer:
    """A running server. `root` answers OpenAI and Anthropic, `root`/ollama the way of Ollama."""

    def __init__(self, loop: LoopThread, state: ModelServerState, root: str) -> None:
        self._loop = loop
        self._state = state
        self.root = root
        self.openai_url = f"{root}/v1"
        self.anthropic_url = root  # as its clients add /v1 themselves
        self.ollama_url = f"{root}/ollama/v1"
        self.key = f"{KEY_PREFIX}tests"

    @property
    def received(self) -> list[ReceivedRequest]:
        """The requests that came since the last reset, with their bodies and headers."""
        return list(self._state.received)

    def fail(self, kind: str = "", **numbers: Any) -> None:
        """Have requests fail by this fault, see `reference_services.model_server.faults`."""
        self._do(self._state.faults.set, {"kind": kind, **numbers} if kind else {})

    def all_ended(self) -> list[ReceivedRequest]:
        """The requests, once each has ended; a caller who left is noticed a moment later."""

        async def wait() -> None:
            async with asyncio.timeout(PATIENCE):
                while any(one.outcome == "open" for one in self._state.received):
                    await asyncio.sleep(0.01)

        self._loop.run(wait())
        return self.received

    def reset(self) -> None:
        """Forget requests, prompts and the fault, and let everyone pass."""
        self.fail()
        self._do(self._state.received.clear)
        self._do(self._state.prompts.forget)
        self._do(self._state.gate.set)

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Answer nobody until the block ends; requests are received meanwhile."""
        self._do(self._state.gate.clear)
        try:
            yield
        finally:
            self._do(self._state.gate.set)

    def _do(self, function: Any, *arguments: Any) -> None:
        async def call() -> None:
            function(*arguments)

        self._loop.run(call())


@contextlib.contextmanager
def running_model_server() -> Iterator[ModelServer]:
    """A server while the block lasts."""
    loop = LoopThread("model-server")

    async def start() -> TestServer:
        server = TestServer(build_model_app(keeps_bodies=True))
        await server.start_server(access_log=None)
        return server

    server = loop.run(start())
    try:
        yield ModelServer(loop, server.app[STATE], str(server.make_url("")).rstrip("/"))
    finally:
        loop.run(server.close())
        loop.stop()
