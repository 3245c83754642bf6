"""Status pages: what people outside are shown of services."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

STATUS_PAGES = Collection("/monitoring/status-pages", "status page")


async def create_status_page(
    hub: Hub,
    name: str,
    *,
    title: str | None = None,
    visibility: str | None = None,
    components: list[JsonObject] | None = None,
    maintenance: str | None = None,
    show_uptime: bool | None = None,
    show_outages: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Make a status page; it is shown once its `visibility` is PUBLIC or KEY.

    Raises: ValidationError, ConflictError.
    """
    return await STATUS_PAGES.call(hub, "POST", locals())


async def update_status_page(
    hub: Hub,
    page_id: str,
    name: str | None = None,
    *,
    title: str | None = None,
    visibility: str | None = None,
    components: list[JsonObject] | None = None,
    maintenance: str | None = None,
    show_uptime: bool | None = None,
    show_outages: bool | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given of a status page, and leave the rest; components are replaced.

    Raises: ResourceNotFoundError, ValidationError.
    """
    return await STATUS_PAGES.call(hub, "PATCH /{page_id}", locals())


async def delete_status_page(hub: Hub, page_id: str) -> JsonObject:
    """Remove a status page. Answers ``{"id", "deleted"}``. Raises: ResourceNotFoundError."""
    return await STATUS_PAGES.delete(hub, "/{page_id}", locals())


async def get_status_page(hub: Hub, page_id: str) -> JsonObject:
    """A status page by its id or name. Raises: ResourceNotFoundError."""
    return await STATUS_PAGES.call(hub, "GET /{page_id}", locals())


async def get_status_pages(
    hub: Hub,
    visibility: str | None = None,
    *,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the status pages, by name. Raises: ValidationError."""
    return await STATUS_PAGES.call(hub, "GET", locals())
