"""Users and groups of the admin, with the forms of the theme."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from registry.admin.base import HubAdmin
from registry.admin.display import moment

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class HubUserAdmin(UserAdmin, HubAdmin):  # type: ignore[misc]
    """People; what each may do comes from the groups."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "group_names", "is_staff", "is_active", "seen")
    list_filter = ("groups", "is_active", "is_staff", "is_superuser")
    search_help_text = "User name, name or email"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @display(description="Groups")
    def group_names(self, user: User) -> str:
        names = ", ".join(group.name for group in user.groups.all())
        return names or ("everything" if user.is_superuser else "–")

    @display(description="Last login", ordering="last_login")
    def seen(self, user: User) -> str:
        return moment(user.last_login)


@admin.register(Group)
class HubGroupAdmin(GroupAdmin, HubAdmin):  # type: ignore[misc]
    """Roles; each group of the hub is one."""

    list_display = ("name", "members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(found_users=Count("user"))

    @display(description="Members", ordering="found_users")
    def members(self, group: Any) -> int:
        return group.found_users
