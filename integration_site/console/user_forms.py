"""Forms for people: the role comes with the name, and everything else follows from it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group, User
from unfold.forms import UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminRadioSelectWidget,
)

from core.api_keys import ANONYMOUS
from core.models import ApiKey
from core.roles import ROLE_WORDS, Role

SUPERUSER = "superuser"
_EVERYTHING = "Does everything, also with people and API keys."
# For programs: a person who logs in with it sees what a viewer sees.
_NOT_FOR_PEOPLE = (Role.SERVICE,)


def role_choices(*, with_superuser: bool) -> list[tuple[str, str]]:
    """Return the roles of people, each with what it may do."""
    roles = [role for role in Role if role not in _NOT_FOR_PEOPLE]
    choices = [(role.group_name, f"{role.label} — {ROLE_WORDS[role]}") for role in roles]
    return [*choices, (SUPERUSER, f"Superuser — {_EVERYTHING}")] if with_superuser else choices


class RolesField(forms.ModelMultipleChoiceField):
    """Groups, of which those that are roles say what they may do."""

    def label_from_instance(self, obj: Any) -> str:
        words = {role.group_name: ROLE_WORDS[role] for role in Role}.get(obj.name)
        return f"{obj.name} — {words}" if words else obj.name


def check_username(name: str) -> str:
    """Refuse the name of an API key: what is owned, started and decided is known by names."""
    if name.lower() == ANONYMOUS or ApiKey.objects.filter(name__iexact=name).exists():
        raise forms.ValidationError(f"'{name}' is who others are: choose another name.")
    return name


class NewPersonForm(UserCreationForm):
    """Asks for a name, a password and a role; that the person may log in follows."""

    role = forms.ChoiceField(
        widget=UnfoldAdminRadioSelectWidget,
        help_text="What they may do. It can be changed, and further roles given, at any time.",
    )
    may_make_superusers = False

    def clean_username(self) -> str:
        return check_username(super().clean_username())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = role_choices(with_superuser=self.may_make_superusers)

    def save(self, commit: bool = True) -> User:
        self.instance.is_staff = True
        self.instance.is_superuser = self.cleaned_data["role"] == SUPERUSER
        return super().save(commit)

    def add_role(self) -> None:
        """Put the saved person into the group of the role."""
        if (name := self.cleaned_data["role"]) != SUPERUSER:
            self.instance.groups.add(Group.objects.get_or_create(name=name)[0])


class PersonForm(UserChangeForm):
    """A person, whose staff status follows from the roles."""

    groups = RolesField(
        queryset=Group.objects.order_by("name"),
        required=False,
        label="Roles",
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Without any, and without single permissions, they cannot log in.",
    )

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        return check_username(name) if "username" in self.changed_data else name
