"""Status pages: what people outside are shown of services."""

from __future__ import annotations

from django.db import models

from core.db.json_fields import CheckedJSONField, validate_list
from core.db.models import NamedModel, NamedQuerySet, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from registry.policies.uptime import MaintenancePolicy


class PageVisibility(Vocabulary):
    """Who may see a status page."""

    OFF = "OFF", "Nobody"
    KEY = "KEY", "Who has a key or an account"
    PUBLIC = "PUBLIC", "Everybody"


class StatusPageQuerySet(NamedQuerySet["StatusPage"]):
    """Selections of status pages."""


class StatusPage(NamedModel):
    """A page that shows how services are, under names of its own.

    Its own name is where it is: `/status/<name>`. `components` are objects with the id of a
    `service`, and the `name` and `group` under which it is shown.
    """

    title = models.CharField(max_length=100, blank=True, default="")
    visibility = EnumField(vocabulary=PageVisibility, max_length=10, default=PageVisibility.OFF)
    components = CheckedJSONField(default=list, blank=True, validators=[validate_list])
    maintenance = EnumField(
        vocabulary=MaintenancePolicy, max_length=20, default=MaintenancePolicy.EXCLUDE
    )
    show_uptime = models.BooleanField(default=True, help_text="Show 90 days, and the figures.")
    show_outages = models.BooleanField(
        default=True,
        help_text="Show outages by themselves, in general words, before anybody publishes one.",
    )

    objects = StatusPageQuerySet.as_manager()

    class Meta:
        db_table = "status_page"
        verbose_name = "status page"
        ordering = ("name",)
        constraints = (
            enum_check("status_page", "visibility", PageVisibility),
            enum_check("status_page", "maintenance", MaintenancePolicy),
            name_constraint("status_page", "A status page"),
        )

    @property
    def heading(self) -> str:
        return self.title or self.name
