"""What a service refuses when a form that was in order is saved, shown in that form."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from core.exceptions import IntegrationError, UseDenied, ValidationFailed

REFUSALS = (IntegrationError, UseDenied)


class RefusalsMixin:
    """Shows the form again, as it was typed, when saving it was refused; nothing is kept of it.

    `refused_at` names the field of the form where it has another name than with the service.
    """

    refused_at: Mapping[str, str] = {}

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        show = super().changeform_view  # type: ignore[misc]
        try:
            return show(request, *args, **kwargs)
        except REFUSALS as error:
            if request.method != "POST":
                raise
            request.refusal = error  # type: ignore[attr-defined]
        return show(request, *args, **kwargs)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)  # type: ignore[misc]
        if (error := getattr(request, "refusal", None)) is not None:
            _refuse(form, error, self.refused_at)
        return form


def _refuse(form_class: Any, error: Exception, refused_at: Mapping[str, str]) -> None:
    """Have a class of forms, which is of this request alone, say an error when it is checked."""
    check = form_class._post_clean

    def check_and_refuse(form: Any) -> None:
        check(form)
        add_refusal(form, error, refused_at)

    form_class._post_clean = check_and_refuse


def add_refusal(form: Any, error: Exception, refused_at: Mapping[str, str] | None = None) -> None:
    """Show what a service refused at the fields that it is about, and the rest above the form."""
    for path, sentences in _sentences_of(error).items():
        name = path.partition(".")[0].partition("[")[0]
        name = (refused_at or {}).get(name, name)
        rest = path.partition(name)[2].lstrip(".") if name in form.fields else path
        messages = [f"{rest}: {each}" if rest else each for each in sentences]
        form.add_error(name if name in form.fields else None, messages)


def _sentences_of(error: Exception) -> Mapping[str, list[str]]:
    """Return the sentences of an error by the paths they are about, "" for the whole."""
    errors = error.errors if isinstance(error, ValidationFailed) else {}
    return errors or {"": [str(error)]}


class ServiceRulesMixin:
    """Holds what was typed in a form against the rules of the service that is to store it.

    `check_fields` takes a copy of the row and the `service_fields` of the form, and raises
    ValidationFailed; `refused_at` is as that of RefusalsMixin.
    """

    check_fields: Callable[[Any, dict[str, Any]], None]
    refused_at: Mapping[str, str] = {}

    def clean(self: Any) -> Any:
        data = super().clean()  # type: ignore[misc]
        if not self.errors:
            try:
                self.check_fields(copy.copy(self.instance), self.service_fields)
            except ValidationFailed as error:
                for path, sentences in error.errors.items():
                    name = path.partition("[")[0]
                    name = self.refused_at.get(name, name)
                    self.add_error(name if name in self.fields else None, list(sentences))
        return data
