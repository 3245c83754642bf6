"""Adds a provider in two steps: its address and key are tried, then its models are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from core.admin.base import actor_of, find_or_404
from core.admin.pages import render_page
from core.admin.refusals import add_refusal
from core.admin.views import own_view
from core.api.suspension import once, result_of
from core.configured_rows import create_row
from core.exceptions import IntegrationError
from model_orchestration.admin.provider_forms import ProviderForm, model_id_of, models_form
from model_orchestration.calls.listing import ListedModel, begin_listing
from model_orchestration.models import Model, ModelProvider
from model_orchestration.services.models import assign_model
from registry.connections.lifecycle import ConnectionEditor, create_connection, delete_connection
from registry.credentials.lifecycle import create_credential, delete_credential
from registry.models import Connection, Credential

PERMISSIONS = (
    "model_orchestration.add_model", "registry.add_connection", "registry.add_credential",
    "registry.use_credential",
)  # fmt: skip


class ProviderWizardMixin:
    """Adds the two pages."""

    def has_connect_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may make models, connections and credentials."""
        return request.user.has_perms(PERMISSIONS)

    @own_view("connect/", name="model_connect", permissions=["connect"])
    @method_decorator(sensitive_post_parameters("key"))
    def connect_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a provider, try it, and keep it if it lists its models."""
        form = ProviderForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            connection = _connect(request, form)
            if connection is not None:
                messages.success(request, f"{connection.name} answers and takes the key.")
                return redirect(_models_page(connection, form.cleaned_data["provider"]))
        template = "console/model_connect.html"
        return render_page(self, request, template, title="Add a provider", form=form)

    @own_view("connect/<uuid:pk>/", name="model_connect_models", permissions=["connect"])
    def connect_models_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show the models that a provider has, and register those that are chosen."""
        connection = find_or_404(Connection.objects.with_parts(), str(pk))
        provider = _provider_of(request, connection)
        shown: dict[str, Any] = {"original": connection, "provider": provider}
        try:
            listed = _listed(request, connection, provider)
        except IntegrationError as error:
            return self._page_of_models(request, failure=error.message, **shown)
        known = _registered(connection)
        new = [each for each in listed if each.name not in known]
        form = models_form(new)(request.POST if request.method == "POST" else None)
        shown |= {"form": form, "known": sorted(known), "new": new}
        if request.method == "POST" and form.is_valid():
            count = _register(request, form, connection, provider, new)
            if count is not None:
                messages.success(request, f"{count} models are registered.")
                return redirect(reverse("admin:model_orchestration_model_changelist"))
        return self._page_of_models(request, **shown)

    def _page_of_models(self, request: HttpRequest, **shown: Any) -> HttpResponse:
        title = f"Models of {shown['original'].name}"
        return render_page(
            self, request, "console/model_connect_models.html", title=title, **shown,
            stands_alone=True,
        )  # fmt: skip


def _models_page(connection: Connection, provider: str) -> str:
    return f"{reverse('admin:model_connect_models', args=(connection.pk,))}?provider={provider}"


def _provider_of(request: HttpRequest, connection: Connection) -> str:
    """Return what kind of provider a connection leads to, as is asked or as its models say."""
    asked = request.GET.get("provider", "")
    if asked in ModelProvider.values:
        return asked
    known = Model.objects.filter(connection=connection).values_list("provider", flat=True).first()
    return str(known or ModelProvider.CUSTOM)


@sensitive_variables()
def _connect(request: HttpRequest, form: ProviderForm) -> Connection | None:
    """Make credential and connection and try them; undo both where that fails, and say why."""
    made: Connection | None = None
    try:
        made = once(request, "made", lambda: _make(request, form))
        result_of(request, "listed", _listing(request, made, form.cleaned_data["provider"]))
    except IntegrationError as error:
        if made is not None:
            _undo(made, actor_of(request))
        add_refusal(form, error, {"secret": "key"})
        return None
    return made


def _listing(request: HttpRequest, connection: Connection, provider: str) -> Callable[[], Any]:
    return lambda: begin_listing(str(connection.pk), provider, actor=actor_of(request))


def _listed(request: HttpRequest, connection: Connection, provider: str) -> list[ListedModel]:
    models: list[ListedModel] = result_of(
        request, "listed", _listing(request, connection, provider)
    )
    return models


@transaction.atomic
def _make(request: HttpRequest, form: ProviderForm) -> Connection:
    actor = actor_of(request)
    fields = form.connection_fields()
    if (secret := form.credential_fields()) is not None:
        fields["credential"] = str(create_credential(secret, actor=actor).pk)
    return create_connection(fields, ConnectionEditor(actor=actor))


def _undo(connection: Connection, actor: str) -> None:
    """Delete a connection that did not work, and the credential that was made for it."""
    credential: Credential | None = connection.credential
    with transaction.atomic():
        delete_connection(connection, ConnectionEditor(actor=actor))
        if credential is not None:
            delete_credential(credential, actor=actor)


def _registered(connection: Connection) -> set[str]:
    """Return the provider's names of the models that are registered already."""
    return {model.sent_name for model in Model.objects.filter(connection=connection)}


def _register(
    request: HttpRequest, form: forms.Form, connection: Connection, provider: str,
    listed: list[ListedModel],
) -> int | None:  # fmt: skip
    """Store the chosen models, all or none; return how many, or None where one is refused."""
    chosen = [each for each in listed if each.name in form.cleaned_data["models"]]
    try:
        with transaction.atomic():
            for each in chosen:
                _register_one(each, connection, provider, form.cleaned_data["id_prefix"])
    except IntegrationError as error:
        form.add_error("models", error.message)
        return None
    return len(chosen)


def _register_one(listed: ListedModel, connection: Connection, provider: str, prefix: str) -> None:
    """Store a model as a provider lists it. Raises: IntegrationError."""
    name = model_id_of(prefix + listed.name)
    fields = {
        "name": name,
        "provider": provider,
        "connection": str(connection.pk),
        "provider_model": "" if name == listed.name else listed.name,
        "capabilities": list(listed.capabilities),
        "token_limit": listed.token_limit,
        "max_tokens": listed.max_tokens,
    }
    create_row(Model(), fields, assign_model)
