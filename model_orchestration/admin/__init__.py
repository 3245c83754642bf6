"""Model orchestration in the admin."""

from model_orchestration.admin import budget, model, price, request, route

__all__ = ["budget", "model", "price", "request", "route"]
