"""People of the admin: made with their role, and able to log in because of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from core.models import AuditEntry
from core.roles import ROLE_WORDS, Role
from integration_site.admin_groups import create_roles
from integration_site.console.user_forms import SUPERUSER, role_choices

pytestmark = [pytest.mark.django_db, pytest.mark.once]
ADD = "admin:auth_user_add"
PASSWORD = "a-long-pass-phrase-1"


@pytest.fixture
def root(client: Client) -> Client:
    create_roles()
    client.force_login(User.objects.create_superuser("root"))
    return client


def new(client: Client, role: str, name: str = "ada") -> Any:
    form = {"username": name, "password1": PASSWORD, "password2": PASSWORD, "role": role}
    return client.post(reverse(ADD), form)


def change(client: Client, user: User, **fields: Any) -> Any:
    url = reverse("admin:auth_user_change", args=(user.pk,))
    return client.post(url, {"username": user.username, "is_active": "on", **fields})


def can_log_in(name: str) -> bool:
    page = Client()
    answer = page.post(reverse("admin:login"), {"username": name, "password": PASSWORD})
    return answer.status_code == 302 and page.get(reverse("admin:index")).status_code == 200


@pytest.mark.parametrize("role", [name for name, _ in role_choices(with_superuser=True)])
def test_person_of_every_role_can_log_in_from_the_first_form_on(root: Client, role: str) -> None:
    assert new(root, role).status_code == 302
    user = User.objects.get(username="ada")
    assert user.is_superuser is (role == SUPERUSER)
    assert [group.name for group in user.groups.all()] == ([] if role == SUPERUSER else [role])
    assert can_log_in("ada")


def test_every_role_says_in_words_what_it_may_do(root: Client) -> None:
    assert ROLE_WORDS.keys() == set(Role)
    shown = root.get(reverse(ADD)).content.decode()
    for role in set(Role) - {Role.SERVICE}:
        assert ROLE_WORDS[role] in shown


def test_person_without_a_role_is_not_made(root: Client) -> None:
    refused = new(root, "")
    assert refused.status_code == 200
    assert "role" in refused.context["adminform"].form.errors
    assert not User.objects.filter(username="ada").exists()


def test_role_that_is_taken_away_takes_the_login_and_says_so(root: Client) -> None:
    new(root, "viewer")
    user = User.objects.get(username="ada")
    answer = change(root, user)
    shown = root.get(answer.headers["Location"]).content.decode()
    assert "ada has no role, and so cannot log in." in shown
    assert not can_log_in("ada")
    change(root, user, groups=[Group.objects.get(name="auditor").pk])
    assert can_log_in("ada")


def test_staff_status_follows_from_roles_wherever_they_are_given() -> None:
    create_roles()
    user, group = User.objects.create_user("ada"), Group.objects.get(name="viewer")

    def is_staff() -> bool:
        return User.objects.get(pk=user.pk).is_staff

    user.groups.add(group)
    assert is_staff()
    group.user_set.remove(user)
    assert not is_staff()
    user.user_permissions.add(Permission.objects.get(codename="view_user"))
    assert is_staff()
    user.user_permissions.clear()
    assert not is_staff()


def test_superusers_are_made_by_superusers_alone(root: Client) -> None:
    keeper = User.objects.create_user("keeper")
    wanted = ("add_user", "change_user", "view_user")
    keeper.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    client = Client()
    client.force_login(keeper)
    refused = new(client, SUPERUSER)
    assert "role" in refused.context["adminform"].form.errors
    assert new(client, "viewer").status_code == 302
    change(client, User.objects.get(username="ada"), is_superuser="on")
    assert not User.objects.get(username="ada").is_superuser


def test_what_is_done_to_people_is_recorded_without_passwords(root: Client) -> None:
    new(root, "viewer")
    user = User.objects.get(username="ada")
    other = "another-pass-phrase-2"
    form = {"password1": other, "password2": other, "usable_password": "true"}
    root.post(reverse("admin:auth_user_password_change", args=(user.pk,)), form)
    change(root, user, groups=[Group.objects.get(name="operator").pk])
    root.post(reverse("admin:auth_user_delete", args=(user.pk,)), {"post": "yes"})
    entries = list(AuditEntry.objects.filter(object_name="ada").order_by("id"))
    assert [e.verb for e in entries] == ["CREATED", "PASSWORD_SET", "CHANGED", "DELETED"]
    assert entries[0].changes["role"] == "viewer"
    assert entries[2].changes["groups"] == [["viewer"], ["operator"]]
    assert PASSWORD not in str([e.changes for e in entries])
    assert "pbkdf2" not in str([e.changes for e in entries])


def test_own_password_that_is_set_is_recorded() -> None:
    user = User.objects.create_user("ada", password=PASSWORD, is_superuser=True, is_staff=True)
    client = Client()
    client.force_login(user)
    other = "another-pass-phrase-2"
    form = {"old_password": PASSWORD, "new_password1": other, "new_password2": other}
    assert client.post(reverse("admin:password_change"), form).status_code == 302
    (entry,) = AuditEntry.objects.all()
    assert (entry.actor, entry.verb, entry.object_name) == ("ada", "PASSWORD_SET", "ada")
