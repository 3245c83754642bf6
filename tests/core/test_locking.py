"""Rows that are locked, named once, and copied."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from core.db.locking import lock_row, unique_name
from core.exceptions import Conflict, NotFound, PreconditionFailed
from core.models import ApiKey
from registry.models import Integration, Service
from tests.factories import make_service

pytestmark = pytest.mark.django_db


@transaction.atomic
def test_a_row_is_locked_as_it_is_now():
    read = make_service(name="billing")
    Service.objects.filter(pk=read.pk).update(description="new")

    assert lock_row(read).description == "new"


@transaction.atomic
def test_a_row_that_is_gone_is_not_found():
    read = make_service(name="billing")
    Service.objects.filter(pk=read.pk).delete()

    with pytest.raises(NotFound, match=r"The service 'billing' was removed meanwhile\."):
        lock_row(read)


@transaction.atomic
def test_only_who_insists_is_refused_a_changed_row():
    read = make_service(name="billing")
    Service.objects.filter(pk=read.pk).update(updated_at=read.updated_at + timedelta(seconds=1))

    assert lock_row(read).pk == read.pk
    with pytest.raises(PreconditionFailed, match="The service 'billing' was changed"):
        lock_row(read, if_unchanged=True)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (Service(name="billing"), "A service named 'billing' exists already."),
        (Integration(name="billing"), "An integration named 'billing' exists already."),
        (ApiKey(name="billing"), "An API key named 'billing' exists already."),
    ],
)
def test_a_taken_name_is_a_conflict(row, sentence):
    with pytest.raises(Conflict) as refused, unique_name(row):
        raise IntegrityError
    assert refused.value.message == sentence


def test_a_conflict_names_what_was_wanted():
    with (
        pytest.raises(Conflict, match="'invoices'"),
        unique_name(Service(name="b"), {"name": "invoices"}),
    ):
        raise IntegrityError


def test_a_copied_row_has_a_state_of_its_own():
    """Checks of what would be given are made on `copy.copy` of a row."""
    row = make_service(name="billing")

    draft = copy.copy(row)
    draft._state.adding = True
    draft._state.fields_cache["credential"] = None

    assert not row._state.adding
    assert "credential" not in row._state.fields_cache
