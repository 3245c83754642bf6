"""Asks a provider which models it has: that costs nothing, and tells whether the key is taken."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from model_orchestration.models import ModelProvider, RequestType
from registry.calls.blocking_client import on_shared_loop
from registry.calls.client import ServiceClient

LISTING_SECONDS = 15.0
MOST_LISTED = 1000
# What a model is for, by a part of its name, where the provider does not say. The first wins.
_NAME_PARTS = (
    (("embed",), RequestType.EMBEDDING),
    (("dall-e", "image", "diffusion"), RequestType.IMAGE_GENERATION),
    (("whisper", "transcribe", "morse"), RequestType.AUDIO_TRANSCRIPTION),
)
ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that a provider has, and what it is likely for."""

    name: str
    capabilities: tuple[str, ...]
    token_limit: int | None = None
    max_tokens: int | None = None


def begin_listing(connection_id: str, provider: str, *, actor: str) -> Future[list[ListedModel]]:
    """Begin to ask a provider for its models.

    The future raises CallError for a provider that gives no list.
    """
    return on_shared_loop(lambda client: _list(client, connection_id, provider, actor))


async def _list(
    client: ServiceClient, connection_id: str, provider: str, actor: str
) -> list[ListedModel]:
    is_anthropic = provider == ModelProvider.ANTHROPIC
    result = await client.call_connection(
        connection_id,
        {},
        method="GET",
        path="/models",
        headers={"anthropic-version": ANTHROPIC_VERSION} if is_anthropic else {},
        timeout_seconds=LISTING_SECONDS,
        actor=actor,
        key=connection_id,
    )
    return models_in(result.output)


def models_in(document: Any) -> list[ListedModel]:
    """Return the models in a provider's list, by name; what is not one is left out (pure)."""
    rows = document.get("data") if isinstance(document, dict) else None
    named = [row for row in rows or [] if isinstance(row, dict) and isinstance(row.get("id"), str)]
    listed = [
        ListedModel(
            row["id"],
            capabilities_of(row["id"]),
            _count(row.get("max_input_tokens")),
            _count(row.get("max_tokens")),
        )
        for row in named[:MOST_LISTED]
    ]
    return sorted(listed, key=lambda each: each.name)


def capabilities_of(name: str) -> tuple[str, ...]:
    """Return what a model of this name is likely for (pure)."""
    lower = name.lower()
    for parts, capability in _NAME_PARTS:
        if any(part in lower for part in parts):
            audio = capability == RequestType.AUDIO_TRANSCRIPTION
            return (capability, RequestType.AUDIO_TRANSLATION) if audio else (capability,)
    return (RequestType.CHAT, RequestType.COMPLETION)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
