"""The pagination that the settings name; it lives in the registry, which every app may import."""

from registry.api.pagination import PageNumberPagination

__all__ = ["PageNumberPagination"]
