"""A provider of language models on this machine, for models to be asked through the hub."""

from __future__ import annotations

from aiohttp import web

from reference_services.service import Service

TOKEN_MS = 12


def _build() -> web.Application:
    # Imported here, as the other services load this module too.
    from reference_services.model_server.app import build_model_app

    return build_model_app(token_ms=TOKEN_MS)


SERVICE = Service(
    name="local-models",
    type="CUSTOM",
    description="A tiny text model behind the protocols of OpenAI, Anthropic and Ollama.",
    tags=("reference", "models"),
    build=_build,
)
