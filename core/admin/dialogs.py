"""Dialogs that ask before something changes: they open with GET and act only on POST."""

from __future__ import annotations

from django.http import HttpResponse


def back_to(url: str) -> HttpResponse:
    """Close a dialog and load a page; the dialog's form is posted by htmx, which follows this."""
    return HttpResponse(headers={"HX-Redirect": url})
