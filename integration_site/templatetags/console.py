"""Tags of the console's own templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from integration_site.console.navigation import NAMES

register = template.Library()


@dataclass(frozen=True)
class Breadcrumb:
    """A page above this one."""

    title: str
    link: str


@dataclass(frozen=True)
class PageHeading:
    """A page's heading, and the pages above it."""

    heading: str
    crumbs: tuple[Breadcrumb, ...] = ()


@register.simple_tag(takes_context=True)
def page_heading(context: template.Context) -> PageHeading:
    """Return the heading of this page and the way to it."""
    opts, title = context.get("opts"), str(context.get("title") or "Overview")
    row = _row_of(context)
    if opts is None or context.get("stands_alone"):
        return PageHeading(str(context.get("content_title") or title))
    name = NAMES.get(opts.label_lower) or capfirst(opts.verbose_name_plural)
    plural = Breadcrumb(name, _address(opts, "changelist"))
    if context.get("cl"):
        return PageHeading(plural.title)
    crumbs = (plural,) if plural.link else ()
    if row is None:
        return PageHeading(title, crumbs)
    if context.get("change") or title == str(row):  # the page of the row itself
        return PageHeading(str(row), crumbs)
    above = Breadcrumb(str(row), _address(row._meta, "change", row.pk))
    heading = "History" if "action_list" in context else title
    return PageHeading(heading, (*crumbs, above))


def _row_of(context: template.Context) -> Model | None:
    row = context.get("original") or context.get("object")
    return row if isinstance(row, Model) else None


def _address(opts: Any, view: str, *arguments: object) -> str:
    """Return the address of a model's page; empty where it has none."""
    try:
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_{view}", args=arguments)
    except NoReverseMatch:
        return ""
