"""Adapters: how each kind of provider is spoken to. Pure; `model_orchestration.calls` sends."""
