"""People of the admin, logged in."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from integration_site.admin_groups import create_roles


def with_permissions(*codenames: str, client: Client | None = None) -> Client:
    """Log in somebody who has just these permissions."""
    user = User.objects.create_user("person", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return _logged_in(user, client)


def in_groups(*groups: str, client: Client | None = None) -> Client:
    """Log in somebody of these groups, which have the rights that a bootstrap gives them."""
    create_roles()
    user = User.objects.create_user("-".join(groups), is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    return _logged_in(user, client)


def _logged_in(user: User, client: Client | None) -> Client:
    client = client or Client()
    client.force_login(user)
    return client
