"""What a service refuses is told in the form or on the page it was asked on, of every model."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from core.exceptions import Conflict, ValidationFailed
from core.models import AuditEntry
from tests.core.admin import test_audit as acts
from tests.core.api.test_patch import FormValues

pytestmark = [pytest.mark.django_db, pytest.mark.once]
root = acts.root
FORMS = sorted(acts.CHANGES)


def _refuse_after(name: str, method: str, error: Exception, patch: pytest.MonkeyPatch) -> None:
    """Have the admin of a model do its work, and be refused at its end."""
    kind = type(dict(acts._admins())[name])
    done = getattr(kind, method)

    def do_and_refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        done(self, *args, **kwargs)
        raise error

    patch.setattr(kind, method, do_and_refuse)


def _change(name: str, root: Client) -> Any:
    """Post another value to the form of a row, and return the answer."""
    url = acts._url(name, "change", acts.ROWS[name]())
    AuditEntry.objects.all().delete()
    form = FormValues()
    form.feed(root.get(url).content.decode())
    field, value = acts.CHANGES[name]
    return root.post(url, {**form.values, field: value, "_save": "Save"})


@pytest.mark.parametrize("name", FORMS)
def test_refused_change_is_told_at_its_field_and_keeps_what_was_typed(
    name: str, root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    field, value = acts.CHANGES[name]
    errors = {field: ["Not so."], "elsewhere[0].x": ["Nor that."]}
    _refuse_after(name, "save_model", ValidationFailed("No.", errors=errors), monkeypatch)
    answer = _change(name, root)
    assert answer.status_code == 200
    form = answer.context["adminform"].form
    assert "Not so." in form.errors[field]
    assert "elsewhere[0].x: Nor that." in form.errors["__all__"]
    assert str(form[field].value()) == value
    assert not AuditEntry.objects.exists(), "what was refused was kept"


@pytest.mark.parametrize("method", ["save_model", "save_related"])
@pytest.mark.parametrize("name", FORMS)
def test_conflict_on_saving_is_told_over_the_form(
    name: str, method: str, root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuse_after(name, method, Conflict("Somebody was faster."), monkeypatch)
    answer = _change(name, root)
    assert answer.status_code == 200
    assert "Somebody was faster." in answer.content.decode()


@pytest.mark.parametrize("page", ["delete", "changelist"])
@pytest.mark.parametrize("name", FORMS)
def test_refused_deletion_is_told(
    name: str, page: str, root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = str(acts.ROWS[name]())
    kind = type(dict(acts._admins())[name])

    def refuse(*args: Any) -> None:
        raise Conflict("It is in use.")

    monkeypatch.setattr(kind, "delete_model", refuse)
    where = (key,) if page == "delete" else ()
    chosen = {"action": "delete_selected", "_selected_action": [key]} if not where else {}
    url = acts._url(name, page, *where)
    answer = root.post(url, {**chosen, "post": "yes"}, follow=True)
    assert answer.status_code == 200
    assert "It is in use." in answer.content.decode()
