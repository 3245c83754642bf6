"""Users and groups of the admin, with the forms of the theme."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm

from core.admin.base import HubAdmin
from core.admin.columns import moment_column
from integration_site.console.user_forms import NewPersonForm, PersonForm
from integration_site.user_signals import update_staff_status

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class HubUserAdmin(UserAdmin, HubAdmin):  # type: ignore[misc]
    """People; what each may do, and that they may log in, comes from their roles."""

    form = PersonForm
    # Django's promises options that the form has by now.
    add_form_template = None
    add_form = NewPersonForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "group_names", "is_staff", "is_active", "seen")
    filter_horizontal = ("user_permissions",)
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2", "role")}),)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("groups", "is_superuser", "is_active", "is_staff")}),
        ("Beside their roles", {"fields": ("user_permissions",), "classes": ("collapse",)}),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )
    list_filter = ("groups", "is_active", "is_staff", "is_superuser")
    search_help_text = "User name, name or email"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Staff status follows from the roles; nobody makes superusers but superusers."""
        own = ("is_staff", "last_login", "date_joined")
        return own if request.user.is_superuser else (*own, "is_superuser", "user_permissions")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        if obj is None:
            form.may_make_superusers = request.user.is_superuser
        return form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        if not change:
            form.add_role()
        super().save_related(request, form, formsets, change)
        update_staff_status(form.instance)
        if not form.instance.is_staff:
            messages.warning(request, f"{form.instance} has no role, and so cannot log in.")

    def response_add(
        self, request: HttpRequest, obj: User, post_url_continue: str | None = None
    ) -> HttpResponse:
        # Django's goes on to the page where the role used to be.
        return HubAdmin.response_add(self, request, obj, post_url_continue)

    @display(description="Roles")
    def group_names(self, user: User) -> str:
        names = ", ".join(group.name for group in user.groups.all())
        return names or ("everything" if user.is_superuser else "–")

    seen = moment_column("Last login", "last_login", ordering="last_login")


@admin.register(Group)
class HubGroupAdmin(GroupAdmin, HubAdmin):  # type: ignore[misc]
    """Roles; each group of the hub is one."""

    list_display = ("name", "members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(found_users=Count("user"))

    @display(description="Members", ordering="found_users")
    def members(self, group: Any) -> int:
        return group.found_users
