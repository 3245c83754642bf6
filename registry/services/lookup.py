"""Reads and locks a service, and the URLs that name its instances."""

from __future__ import annotations

from core.addresses import BadAddress, normal_base_url
from core.exceptions import ValidationFailed
from registry.models import Service


def get_service(reference: str) -> Service:
    """Return the service of that id or name, with its instances and actions.

    Raises:
        NotFound: there is none.
    """
    return Service.objects.with_parts().get_named(reference)


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
