"""The kinds of what files say: each is a resource of the API, under the rules of that.

A row is made, changed and deleted by the hooks of its resource, and read by the serializers, so
that a file may say what a request may say, and is refused what that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.views.decorators.debug import sensitive_variables

from core.api.named_resource import NamedResourceViewSet
from core.api.patches import default_of
from core.exceptions import NotFound, ValidationFailed
from core.json.equality import json_equal
from core.json.merge_patch import MergePatch
from core.suggestions import did_you_mean
from integration_site.manifests.documents import Manifest
from monitoring.alerts.channel_types import TYPE_SPECS
from monitoring.api.alerts import ChannelViewSet
from monitoring.api.checks import HealthCheckViewSet
from monitoring.api.dependencies import DependencyInput, DependencySerializer, DependencyViewSet
from monitoring.api.escalations import EscalationViewSet
from monitoring.api.maintenance import MaintenanceViewSet
from monitoring.api.slos import SloViewSet
from monitoring.api.status_pages import StatusPageViewSet
from monitoring.dependencies import lifecycle as dependencies
from monitoring.maintenance.planning import LIVE
from monitoring.models import ServiceDependency
from registry.credentials.sealing import open_parts
from workflows.api.schedules import ScheduleViewSet
from workflows.api.workflows import WorkflowViewSet

# What a document that does not say it leaves as it is: people switch it by hand.
SWITCHES = frozenset({"enabled", "status"})
REPLACED = ["(another)", "(given)"]
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")

Spec = Mapping[str, Any]
Secrets = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ManifestKind:
    """A kind of resource that has names."""

    name: str
    view: type[NamedResourceViewSet]
    # Which of its rows are written into files.
    exported: Callable[[Any], Any] = lambda rows: rows
    # The fields of an answer that have another name than what is given.
    answered_as: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> type[Model]:
        model: type[Model] = self.view.serializer_class.Meta.model
        return model

    @property
    def read_scope(self) -> str:
        return self.view.read_scope

    @property
    def write_scope(self) -> str:
        return self.view.write_scope

    def all_rows(self) -> Any:
        return cast(Any, self.view.queryset).all()

    def rows(self) -> Any:
        """Return the rows that files are written of."""
        return self.exported(self.all_rows()).order_by("name")

    def title_of(self, row: Any) -> str:
        return str(row.name)

    def title_in(self, manifest: Manifest) -> str:
        """Return the title of the row that a document is of."""
        return manifest.name

    def find(self, manifest: Manifest, request: Any) -> Any:
        """Return the row that a document is of, if the caller may change it; None of a new one.

        Raises:
            ValidationFailed: the document has no name, or one in its spec too.
            PermissionDenied: the caller may not change it.
        """
        if not manifest.name:
            raise ValidationFailed.at("name", f"Say the name of the {self.name}.")
        if "name" in manifest.spec:
            raise ValidationFailed.at("spec.name", "The name stands beside the spec, not in it.")
        view = self._view(request, manifest.name)
        try:
            row = view.find_to_write()
        except NotFound:
            return None
        return row if row.name.lower() == manifest.name.lower() else None

    def create(self, manifest: Manifest, request: Any, secrets: Secrets) -> Any:
        spec = self._opened(manifest.spec, None, secrets)
        fields = _read(self.view.input_class, {"name": manifest.name, **spec})
        return self._view(request, manifest.name).perform_create(fields)

    def update(self, row: Any, manifest: Manifest, request: Any, secrets: Secrets) -> Any:
        """Make a row what the document says; what that leaves out is as in one made anew."""
        reader = self.view.patch_class
        spec = self._opened(manifest.spec, row, secrets)
        removed = {
            name: None
            for name, each in reader().fields.items()
            if each.allow_null and name not in SWITCHES and name not in spec
        }
        values = _read(reader, {"name": manifest.name, **removed, **spec})
        fields = {name: _whole(value) for name, value in values.items()}
        view = self._view(request, str(row.pk))
        return view.perform_update(row, fields, if_unchanged=False)

    def delete(self, row: Any, request: Any) -> None:
        self._view(request, str(row.pk)).perform_destroy(row, if_unchanged=False)

    def spec_of(self, row: Any) -> dict[str, Any]:
        """Return what a document says of a row: all that is not as in one made anew."""
        inputs: Mapping[str, Any] = cast(Any, self.view.input_class().fields)
        answered = {name: self.answered_as.get(name, name) for name in inputs}
        told = _told(self.view.serializer_class, frozenset(answered.values()), row)
        found = {name: told[at] for name, at in answered.items() if name != "name" and at in told}
        return {
            name: value
            for name, value in found.items()
            if inputs[name].required or not self._is_default(name, value)
        }

    def _is_default(self, name: str, value: Any) -> bool:
        try:
            return value is None or json_equal(value, default_of(self.model, name))
        except FieldDoesNotExist:
            return False

    def _opened(self, spec: Spec, row: Any, secrets: Secrets) -> Spec:
        """Return a spec with the values of the secrets that it refers to."""
        return {name: value for name, value in spec.items() if value is not None}

    def _view(self, request: Any, reference: str) -> Any:
        view = self.view(request=request, kwargs={"pk": reference}, format_kwarg=None)
        view.action = "update"
        return view


class _ChannelKind(ManifestKind):
    """Channels, whose secrets no file holds: it says from which variable each part is."""

    def spec_of(self, row: Any) -> dict[str, Any]:
        spec = super().spec_of(row)
        if row.has_secret:
            spec["secret"] = {
                part.name: {"env": _variable_of(row.name, part.name)}
                for part in TYPE_SPECS[row.type].secrets
            }
        return spec

    @sensitive_variables()
    def _opened(self, spec: Spec, row: Any, secrets: Secrets) -> Spec:
        opened = dict(super()._opened(spec, row, secrets))
        if "secret" not in opened:
            return opened
        names = _variables_in(opened.pop("secret"))
        missing = [part for part, name in names.items() if name not in secrets]
        is_kept = row is not None and row.has_secret
        if is_kept and len(missing) == len(names):
            return opened
        if missing:
            sentence = f"Give the value of {names[missing[0]]} with the files: --secret takes it."
            raise ValidationFailed.at(f"spec.secret.{missing[0]}", sentence)
        given = {part: secrets[name] for part, name in names.items()}
        if is_kept and {k: v.reveal() for k, v in open_parts(row).items()} == given:
            return opened
        return {**opened, "secret": given}


class _DependencyKind:
    """Dependencies, which have no names: they are told apart by their two services."""

    name = "Dependency"
    model = ServiceDependency
    read_scope = DependencyViewSet.scopes["list"]
    write_scope = DependencyViewSet.scopes["create"]

    def all_rows(self) -> Any:
        return DependencyViewSet.queryset.all()

    def rows(self) -> Any:
        return self.all_rows().order_by("service__name", "depends_on__name")

    def title_of(self, row: Any) -> str:
        return str(row)

    def title_in(self, manifest: Manifest) -> str:
        return " needs ".join(str(manifest.spec.get(name)) for name in ("service", "depends_on"))

    def find(self, manifest: Manifest, request: Any) -> Any:
        if manifest.name:
            raise ValidationFailed.at("name", "A dependency has none: leave it out.")
        named = {name: str(manifest.spec.get(name, "")) for name in ("service", "depends_on")}
        rows = self.all_rows()
        for name, text in named.items():
            rows = rows.filter(**{f"{name}__name__iexact": text})
        return rows.first()

    def create(self, manifest: Manifest, request: Any, secrets: Secrets) -> Any:
        fields = _read(DependencyInput, manifest.spec)
        return dependencies.create_dependency(fields, actor=str(request.user.name))

    def update(self, row: Any, manifest: Manifest, request: Any, secrets: Secrets) -> Any:
        kind = _read(DependencyInput, manifest.spec).get("kind", default_of(self.model, "kind"))
        if kind == row.kind:
            return row
        return dependencies.update_dependency(row, {"kind": kind}, actor=str(request.user.name))

    def delete(self, row: Any, request: Any) -> None:
        dependencies.delete_dependency(row, actor=str(request.user.name))

    def spec_of(self, row: Any) -> dict[str, Any]:
        told = _told(DependencySerializer, frozenset(DependencyInput().fields), row)
        return {k: v for k, v in told.items() if k != "kind" or v != default_of(self.model, k)}


Kind = ManifestKind | _DependencyKind


def _own_checks(rows: Any) -> Any:
    """Leave out what the hub makes itself for health URLs: their services say how."""
    return rows.filter(is_automatic=False)


def _live_windows(rows: Any) -> Any:
    return rows.filter(status__in=LIVE)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        ManifestKind(name="Check", view=HealthCheckViewSet, exported=_own_checks),
        _ChannelKind(name="Channel", view=ChannelViewSet),
        ManifestKind(name="EscalationPolicy", view=EscalationViewSet),
        ManifestKind(name="MaintenanceWindow", view=MaintenanceViewSet, exported=_live_windows),
        ManifestKind(name="StatusPage", view=StatusPageViewSet),
        ManifestKind(name="Slo", view=SloViewSet),
        _DependencyKind(),
        ManifestKind(name="Workflow", view=WorkflowViewSet),
        ManifestKind(
            name="Schedule", view=ScheduleViewSet, answered_as={"workflow": "workflow_name"}
        ),
    )
}


def kind_of(manifest: Manifest) -> Kind:
    """Return the kind of a document.

    Raises:
        ValidationFailed: there is no such kind.
    """
    if kind := KINDS.get(manifest.kind):
        return kind
    hint = did_you_mean(manifest.kind[:100], KINDS)
    raise ValidationFailed.at("kind", f"There is no such kind{hint} Known: {', '.join(KINDS)}.")


def _read(reader: Any, values: Spec) -> dict[str, Any]:
    checked = reader(data=dict(values))
    checked.is_valid(raise_exception=True)
    validated: dict[str, Any] = checked.validated_data
    return validated


def _whole(value: Any) -> Any:
    """Return what replaces a value as a whole, where a request would change members of it."""
    return dict(value.members) if isinstance(value, MergePatch) else value


def _told(serializer: Any, names: frozenset[str], row: Any) -> dict[str, Any]:
    """Return some fields of a row as the API answers them."""
    shown = serializer()
    for name in [name for name in shown.fields if name not in names]:
        shown.fields.pop(name)
    told: dict[str, Any] = shown.to_representation(row)
    return told


def _variable_of(*words: str) -> str:
    text = re.sub(r"[^A-Z0-9]+", "_", "_".join(words).upper())
    return f"_{text}" if text[0].isdigit() else text


def _variables_in(secret: Any) -> dict[str, str]:
    """Return from which variable each part of a secret is.

    Raises:
        ValidationFailed: it says something else; without a word of what.
    """
    if not isinstance(secret, dict) or not secret:
        raise ValidationFailed.at("spec.secret", "Must be an object of parts.")
    names: dict[str, str] = {}
    for part, reference in secret.items():
        name = reference.get("env") if isinstance(reference, dict) else None
        if not isinstance(name, str) or not _ENVIRONMENT_NAME.fullmatch(name) or len(reference) > 1:
            sentence = "Files hold no secrets: write {env: NAME}, and give the value with --secret."
            raise ValidationFailed.at(f"spec.secret.{str(part)[:100]}", sentence)
        names[part] = name
    return names
