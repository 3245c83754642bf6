"""Model orchestration in the admin."""

from model_orchestration.admin import budget, content, model, price, prompt, request, route

__all__ = ["budget", "content", "model", "price", "prompt", "request", "route"]
