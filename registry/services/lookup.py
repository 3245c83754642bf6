"""Reads and locks a service, and the URLs that name its instances."""

from __future__ import annotations

from core.addresses import BadAddress, normal_base_url
from core.exceptions import NotFound, ValidationFailed
from core.suggestions import no_such_row
from registry.models import Service
from registry.services.aliases import find_aliased


def get_service(reference: str) -> Service:
    """Return the service of that id or name, or else alias, with its instances and actions.

    Raises:
        NotFound: there is none.
    """
    rows = Service.objects.with_parts()
    service = rows.find(reference)
    if service is None and (aliased := find_aliased(reference)):
        service = rows.filter(pk=aliased.service_id).first()
    if service is None:
        raise NotFound(no_such_row(Service.objects, reference))
    return service


def reload_service(service: Service) -> Service:
    return Service.objects.with_parts().get(pk=service.pk)


def base_url_of(text: str) -> str:
    """Return the one form of the URL of an instance that a caller gave.

    Raises:
        ValidationFailed: it is no URL.
    """
    try:
        return normal_base_url(text)
    except BadAddress as error:
        raise ValidationFailed.at("url", str(error)) from None
