"""Dialogs that ask before something changes: they open with GET and act only on POST."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from core.admin.refusals import REFUSALS

MAX_MINUTES = 365 * 24 * 60


def dialog_action(
    description: str,
    *,
    icon: str,
    title: str,
    explanation: str,
    form: type[forms.Form] | None = None,
    submit: str = "",
    permission: str = "change",
    **options: Any,
) -> Callable[[Any], Any]:
    """Make a method an action of a page that asks in a dialog first, with a form if there is one.

    The button of the dialog says `submit`, or what the action is called.
    """
    dialog = {
        "title": title,
        "description": explanation,
        "form_class": form,
        "form_submit_text": submit or description,
    }
    return action(
        description=description, icon=icon, permissions=[permission], dialog=dialog, **options
    )


def minutes_field(help_text: str, *, initial: int | None = None) -> forms.DecimalField:
    """Return the field that says after how many minutes something ends.

    It may be left empty, as what does not end by itself, unless it has an `initial` number.
    """
    return forms.DecimalField(
        required=initial is not None,
        initial=initial,
        min_value=0.1,
        max_value=MAX_MINUTES,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=help_text,
    )


@contextlib.contextmanager
def telling_refusals(request: HttpRequest) -> Iterator[None]:
    """Say on the next page why something was refused, instead of failing."""
    try:
        yield
    except REFUSALS as error:
        messages.error(request, str(error))


def back_to(url: str) -> HttpResponse:
    """Close a dialog and load a page; the dialog's form is posted by htmx, which follows this."""
    return HttpResponse(headers={"HX-Redirect": url})
