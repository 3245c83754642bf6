"""What a running server keeps: the fault that is set, what it received, the pictures it drew."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict, deque
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from reference_services.model_server.faults import ProviderFault, ProviderFaultSwitch
from reference_services.model_server.prompt_cache import PromptPrefixCache

RECEIVED_KEPT = 1000
PICTURES_KEPT = 50


@dataclass
class ReceivedRequest:
    """A request, and how it ended: answered, failed, cut, or left by its caller."""

    protocol: str
    path: str
    model: str = ""
    fault: str = ""
    outcome: str = "open"
    status: int = 0
    pieces: int = 0
    body: dict[str, Any] = field(default_factory=dict, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def summary(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k not in {"body", "headers"}}


class ModelServerState:
    """`token_ms` is the pace of streams; bodies are kept for tests only."""

    def __init__(self, *, token_ms: float = 0, keeps_bodies: bool = False) -> None:
        self.token_ms = token_ms
        self.keeps_bodies = keeps_bodies
        self.faults = ProviderFaultSwitch()
        self.received: deque[ReceivedRequest] = deque(maxlen=RECEIVED_KEPT)
        self.prompts = PromptPrefixCache()
        self.gate = asyncio.Event()
        self.gate.set()
        self._pictures: OrderedDict[str, bytes] = OrderedDict()

    def keep_picture(self, data: bytes) -> str:
        """Keep a picture for a while; return the name by which it is read."""
        name = hashlib.sha256(data).hexdigest()[:32]
        self._pictures[name] = data
        while len(self._pictures) > PICTURES_KEPT:
            self._pictures.popitem(last=False)
        return name

    def picture(self, name: str) -> bytes | None:
        return self._pictures.get(name)


STATE: web.AppKey[ModelServerState] = web.AppKey("state", ModelServerState)
RECEIVED: web.RequestKey[ReceivedRequest] = web.RequestKey("received", ReceivedRequest)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)


@dataclass(frozen=True)
class ParsedRequest:
    """A request that is let in: its body, its model by the name it came with, and its fault."""

    body: dict[str, Any]
    model_name: str
    fault: ProviderFault
    received: ReceivedRequest
