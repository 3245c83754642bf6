"""What the admin of every model shares: bounded lists, read-only models and bulk actions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar, cast

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from core.admin.dialogs import back_to
from core.admin.formatting import status_badge
from core.admin.history import AuditedMixin
from core.admin.labels import label_of, with_acronyms
from core.admin.pages import page_of, page_of_id
from core.admin.refusals import REFUSALS, RefusalsMixin
from core.admin.views import OwnViewsMixin
from core.identifiers import read_id
from core.models import ManagedObject

Row = TypeVar("Row", bound=models.Model)

MAX_BULK = 200
MAX_REASONS = 5
MAX_ACTOR = 100


class BoundedPaginator(Paginator):
    """Counts no further than `MAX_COUNTED` rows: a list costs the same at ten million."""

    MAX_COUNTED = 10_000

    @cached_property
    def count(self) -> int:
        rows = cast(QuerySet, self.object_list)
        return rows.order_by()[: self.MAX_COUNTED].count()

    @property
    def is_capped(self) -> bool:
        """Whether there may be more rows than were counted."""
        return self.count >= self.MAX_COUNTED


class GrowingChangeList(ChangeList):
    """Says how many rows were found only where something was looked for."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class HubAdmin(OwnViewsMixin, RefusalsMixin, AuditedMixin, ModelAdmin):
    """A list of fifty per page, with its filters beside it where there is room.

    What its forms do is in the audit trail. `empty_words` say how rows come to be, where nobody
    adds them by hand.
    """

    empty_words = "They come by themselves, once there is something to show."

    # Whether files may say how its rows are to be.
    is_managed_by_files = False

    list_per_page = 50
    list_max_show_all = 50
    list_filter_sheet = False
    show_facets = ModelAdmin.show_facets.NEVER
    warn_unsaved_form = True

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Call the page of a list what it lists, as its heading does."""
        title = {"title": capfirst(str(self.opts.verbose_name_plural))}
        return super().changelist_view(request, {**title, **(extra_context or {})})

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Say on the page of the row why it is not deleted."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except REFUSALS as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(page_of_id(self.model, object_id))

    @display(description="Status", ordering="status")
    def status_label(self, row: Any) -> str:
        return status_badge(row.status)

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Return the actions of the page of a row, but for those that make no sense now."""
        if not is_id(object_id):
            return []
        hidden = tuple(f"_{name}" for name in self.hidden_actions(request, object_id))
        actions = super().get_actions_detail(request, object_id)
        return [action for action in actions if not action.action_name.endswith(hidden)]

    def hidden_actions(self, request: HttpRequest, object_id: str) -> Iterable[str]:
        """Return the names of actions that make no sense for a row as it is."""
        return ()

    def run_on_page(
        self, request: HttpRequest, object_id: str, act: Any, *, done: str
    ) -> HttpResponse:
        """Have `act` do something to the row of a page for this person, and lead back there."""
        row = find_or_404(self.model._default_manager.all(), object_id)
        run_on_one(request, row, partial(act, actor=actor_of(request)), done=done)
        return back_to(page_of(row))

    def summary(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the templates at the top of the page of a row show of it."""
        return {}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context.get("original")
        shown = self.summary(request, row) if row is not None else {}
        if row is not None and self.is_managed_by_files:
            self._tell_file(request, row)
        return super().render_change_form(request, {**context, **shown}, *args, **kwargs)

    def _tell_file(self, request: HttpRequest, row: Any) -> None:
        """Say on the page of a row that its file says how it is to be."""
        if mark := ManagedObject.of(row):
            messages.warning(
                request,
                f"Managed by file: {mark.file} of '{mark.owner}'. What is changed here is undone"
                " when that is applied.",
            )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Say of a time in which zone it is read."""
        if isinstance(db_field, models.DateTimeField):
            kwargs.setdefault("help_text", f"{db_field.help_text} In UTC.".strip())
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes with rows; what only the program writes takes no permission of its own.

        Where something is in the way, that is the reason, and no permission for it.
        """
        rows, counts, lacking, protected = super().get_deleted_objects(objs, request)
        site = self.admin_site
        written = {
            model._meta.verbose_name
            for model in filter(site.is_registered, apps.get_models())
            if isinstance(site.get_model_admin(model), ReadOnlyMixin)
        }
        return rows, counts, set() if protected else lacking - written, protected

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete one by one, as the page of each would, and say which could not be."""
        run_on_each(request, queryset, lambda row: self.delete_model(request, row), done="deleted")
        request.told_deletions = True  # type: ignore[attr-defined]

    def message_user(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        # Django's action goes on to say that all were deleted.
        if not getattr(request, "told_deletions", False):
            super().message_user(request, *args, **kwargs)

    def __init__(self, model: type[models.Model], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        for field in model._meta.fields + model._meta.many_to_many:
            field.verbose_name = with_acronyms(str(field.verbose_name))

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        for name, field in form.base_fields.items():
            field.label = with_acronyms(str(field.label or label_of(name)))
        return form


class GrowingAdmin(HubAdmin):
    """The list of a table that grows without end: never counted whole, sorted only by its index."""

    paginator = BoundedPaginator
    show_full_result_count = False
    sortable_by: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return GrowingChangeList


class ReadOnlyMixin:
    """Rows that only the program writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UnreadPartsMixin:
    """Rows with parts that go with them: too many to read and list before a deletion."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        names = [str(row) for row in objs]
        noun = str(self.opts.verbose_name_plural)  # type: ignore[attr-defined]
        return names, {noun: len(names)}, set(), []


class LifecycleMixin:
    """Rows that functions make, change and delete, by the `service_fields` of their form."""

    create_row: Callable[..., Any]
    update_row: Callable[..., Any]
    delete_row: Callable[..., Any]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        fields, actor = form.service_fields, actor_of(request)
        if change:
            saved = self.update_row(obj, fields, actor=actor)
        else:
            saved = self.create_row(fields, actor=actor)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_row(obj, actor=actor_of(request))


class SwitchedMixin:
    """Rows that are enabled or not: several are switched at once from their list."""

    def set_enabled(self, request: HttpRequest, row: Any, enabled: bool) -> None:
        """Enable or disable one row."""
        raise NotImplementedError

    @admin.action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._switch(run_on_each, request, queryset, enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._switch(run_on_each, request, queryset, enabled=False)

    def switch_one(self, request: HttpRequest, object_id: str, *, enabled: bool) -> HttpResponse:
        """Enable or disable the row of a page from its dialog, and lead back to the page."""
        row = find_or_404(self.get_queryset(request), object_id)  # type: ignore[attr-defined]
        self._switch(run_on_one, request, row, enabled=enabled)
        return back_to(page_of(row))

    def _switch(self, run: Any, request: HttpRequest, rows: Any, *, enabled: bool) -> None:
        words = "enabled" if enabled else "disabled"
        run(request, rows, lambda row: self.set_enabled(request, row, enabled), done=words)


class PartAdmin(HubAdmin):
    """Rows of a service: one that was added from its page leads back there, or to another of it."""

    def response_add(self, request: HttpRequest, obj: Any, *args: Any) -> HttpResponse:
        answer = super().response_add(request, obj, *args)
        if "_addanother" in request.POST and "service" in request.GET:
            return HttpResponseRedirect(request.get_full_path())
        return answer

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if "service" not in request.GET:
            return super().response_post_save_add(request, obj)
        return HttpResponseRedirect(reverse("admin:registry_service_change", args=[obj.service_id]))


def actor_of(request: HttpRequest) -> str:
    """Return the name under which what a person does is recorded."""
    return request.user.get_username()[:MAX_ACTOR]


def is_id(text: object) -> bool:
    """Return whether a text from an address or a search can be the id of a row."""
    return read_id(text) is not None


def find_or_404(rows: QuerySet[Row], object_id: str) -> Row:
    """Return the row with this id.

    Raises:
        Http404: there is none, or the text is no id.
    """
    row = rows.filter(pk=object_id).first() if is_id(object_id) else None
    if row is None:
        raise Http404(f"There is no {rows.model._meta.verbose_name} with this id.")
    return row


def run_on_one(
    request: HttpRequest, row: models.Model, act: Callable[[Any], object], *, done: str
) -> None:
    """Do something to the row of a page and say by its name that it was done, or why not."""
    try:
        act(row)
        messages.success(request, f"{row}: {done}.")
    except REFUSALS as error:
        messages.error(request, f"{row}: {error}")


def run_on_each(
    request: HttpRequest,
    rows: Iterable[models.Model],
    act: Callable[[Any], object],
    *,
    done: str,
) -> None:
    """Do something to each selected row and say how many were done, and which refused and why."""
    count = 0
    refused: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        try:
            act(row)
            count += 1
        except REFUSALS as error:
            refused[str(error)].append(str(row))
    if count:
        messages.success(request, f"{count} {done}.")
    for reason, names in list(refused.items())[:MAX_REASONS]:
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        shown = f"{', '.join(names[:2])}{more}"
        messages.warning(request, f"{len(names)} refused. {reason} ({shown})")
