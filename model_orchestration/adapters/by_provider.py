"""Which adapter speaks to which kind of provider (pure)."""

from __future__ import annotations

from model_orchestration.adapters.anthropic import AnthropicAdapter
from model_orchestration.adapters.base import Adapter
from model_orchestration.adapters.openai import OpenAIAdapter
from model_orchestration.models.model import ModelProvider

_COMPATIBLE = OpenAIAdapter(limit_name="max_tokens")
# OpenAI's newer models refuse max_tokens, which other servers alone know.
_ADAPTERS: dict[str, Adapter] = {
    ModelProvider.OPENAI: OpenAIAdapter(limit_name="max_completion_tokens"),
    ModelProvider.ANTHROPIC: AnthropicAdapter(),
    ModelProvider.OLLAMA: _COMPATIBLE,
    ModelProvider.CUSTOM: _COMPATIBLE,
}


def adapter_of(provider: str) -> Adapter:
    return _ADAPTERS[provider]
