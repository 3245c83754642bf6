"""Columns for addresses: kept in their one form, whichever way they come in."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from yarl import URL

from core.addresses import (
    LONGEST_HOST,
    LONGEST_URL,
    BadAddress,
    normal_base_url,
    normal_host,
    normal_url,
)
from registry.network.address_policy import AddressRefused
from registry.network.dialer import get_policy, refusal_of


def validate_service_url(value: str) -> None:
    """Refuse what is no URL of a service.

    Host names without a dot are allowed: that is how containers find each other.
    """
    try:
        normal_url(value)
    except BadAddress as error:
        raise ValidationError(str(error)) from None


def validate_called_url(value: str) -> None:
    """Refuse what is no URL of a service, and what no call would get past the address policy.

    A name is judged by its addresses whenever it is called.
    """
    validate_service_url(value)
    if why := refusal_of(URL(normal_url(value), encoded=True), get_policy()):
        raise ValidationError(why)


def validate_host(value: str) -> None:
    """Refuse what is no host name and no address, and addresses that the policy rules out."""
    try:
        get_policy().check_host(value)
    except AddressRefused as error:
        raise ValidationError(str(error)) from None


class AddressField(models.CharField):
    """A varchar column of an address: any spelling in, one form stored and looked for."""

    def normalise(self, value: str) -> str:
        """Return the one form. Raises: BadAddress."""
        raise NotImplementedError

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        """Migrations know it as a plain CharField."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return text
        try:
            return self.normalise(text)
        except BadAddress as error:
            raise ValidationError(str(error), code="invalid") from None

    def get_prep_value(self, value: Any) -> Any:
        """Leave what is no address as it is: it is looked for and not found."""
        text = models.Field.get_prep_value(self, value)
        if not isinstance(text, str):
            return super().get_prep_value(value)
        try:
            return self.normalise(text) if text else text
        except BadAddress:
            return text

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.get_prep_value(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


class UrlField(AddressField):
    """A column of an http or https URL; with `is_base`, one that paths are appended to."""

    def __init__(self, *args: Any, is_base: bool = False, **kwargs: Any) -> None:
        self.is_base = is_base
        kwargs.setdefault("max_length", LONGEST_URL)
        kwargs.setdefault("validators", [validate_service_url])
        super().__init__(*args, **kwargs)

    def normalise(self, value: str) -> str:
        return normal_base_url(value) if self.is_base else normal_url(value)

    def run_validators(self, value: Any) -> None:
        super().run_validators(value)
        if value:
            validate_called_url(value)


class HostField(AddressField):
    """A column of a host name or an address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", LONGEST_HOST)
        super().__init__(*args, **kwargs)

    def normalise(self, value: str) -> str:
        return normal_host(value)

    def run_validators(self, value: Any) -> None:
        super().run_validators(value)
        if value:
            validate_host(value)
