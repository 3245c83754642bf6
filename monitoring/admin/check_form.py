"""The form of a check: one field for each setting of its kind."""

from __future__ import annotations

import copy
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from core.admin.forms import StrictJSONField, WordsField
from core.exceptions import ValidationFailed
from monitoring.checks.kinds import KINDS, SCHEMES
from monitoring.checks.lifecycle import PLAIN, check_fields
from monitoring.models import CheckKind, HealthCheck
from registry.admin.credential_forms import field_name
from registry.admin.form_fields import part_field
from registry.admin.typed_form import TypedForm
from registry.policies.type_parts import Part

TIMES = (
    "interval_seconds", "timeout_seconds", "retry_seconds", "failure_threshold",
    "success_threshold",
)  # fmt: skip
# What is asked of jobs, which call by themselves, and of nothing else.
JOB_TIMES = ("cron", "timezone", "grace_seconds")
OFFERED = list(CheckKind.values)
LOOKS = [kind for kind in OFFERED if kind != CheckKind.PUSH]
_NUMBERS = {"max_latency_ms", "redirects", "min_days"}
_JSON, _LINES = {"headers"}, {"json"}


def fields_of(kind: str, *, of_service: bool | None = None) -> dict[str, forms.Field]:
    """Return the form fields of a kind: what is asked, then what has to hold."""
    spec = KINDS[kind]
    sections = (("request", spec.request), ("conditions", spec.conditions))
    return {
        field_name(kind, section, part.name): _field_of(part)
        for section, parts in sections
        for part in parts
        if part.name != "path" or of_service is not False
    }


def _field_of(part: Part) -> forms.Field:
    about: Any = {"label": part.label, "required": False, "help_text": part.help}
    if part.name in _NUMBERS:
        return forms.IntegerField(**about, widget=UnfoldAdminIntegerFieldWidget)
    if part.name in _JSON:
        return StrictJSONField(**about, rows=3)
    if part.name in _LINES:
        about["help_text"] = f"{part.help}. One each line."
        return forms.CharField(**about, widget=part_field(part, rows=3).widget)
    return part_field(part, rows=3, empty_choices=[("", "GET")])


class BaseCheckForm(TypedForm):
    """A check as a person makes or changes it."""

    typed_by = "kind"
    tags = WordsField(required=False, help_text="Separated by commas.")

    class Meta:
        model = HealthCheck
        fields = (
            "name", "kind", "service", "url", "description", *TIMES, *JOB_TIMES, "severity",
            "owner",
        )  # fmt: skip
        labels = {
            "url": "URL",
            "interval_seconds": "Looked at every",
            "timeout_seconds": "Answer within",
            "retry_seconds": "After a failure again in",
            "failure_threshold": "Down after",
            "success_threshold": "Up after",
            "cron": "Calls at",
            "timezone": "Time zone",
            "grace_seconds": "Grace",
        }
        help_texts = {
            "service": "Looks at each of its instances. Leave it empty to give a URL.",
            "url": "Such as https://shop.example.org/health, tcp://mail.example.org:25,"
            " dns://shop.example.org or tls://shop.example.org:443, by its kind.",
            "interval_seconds": "Seconds. Empty: as its service or the hub says. A job calls every"
            " so many seconds, or at the times of a cron.",
            "cron": "minute hour day-of-month month day-of-week, such as 30 3 * * *. Empty: by"
            " interval.",
            "timezone": "In which the cron is read, such as Europe/Berlin.",
            "grace_seconds": "Seconds that it may be late, and that a run of it may take.",
            "timeout_seconds": "Seconds.",
            "retry_seconds": "Seconds. Empty: at most 10.",
            "failure_threshold": "Failures in a row. Empty: as its service or the hub says.",
            "success_threshold": "Answers in a row. Empty: as its service or the hub says.",
            "severity": "Of the incident that is opened when it is down.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "grace_seconds" in self.fields:
            self.fields["grace_seconds"].required = False  # it is of jobs alone
        if not self.is_change and "kind" in self.fields:
            offered = [choice for choice in CheckKind.choices if choice[0] in OFFERED]
            self.fields["kind"].choices = offered  # type: ignore[attr-defined]

    def show(self, row: HealthCheck) -> None:
        own = fields_of(row.kind, of_service=row.service_id is not None)
        for name in [n for n in self.fields if "__" in n and n not in own]:
            del self.fields[name]
        self.initial["tags"] = row.tags
        for section, values in (("request", row.request), ("conditions", row.conditions)):
            for part, value in values.items():
                self.initial[field_name(row.kind, section, part)] = _shown(part, value)

    def read(self, type: str) -> None:
        given = self.cleaned_data
        names = (*PLAIN, "cron", "timezone")
        fields: dict[str, Any] = {name: given[name] for name in names if name in given}
        if fields.get("grace_seconds") is None:
            fields.pop("grace_seconds", None)
        if "url" in self.fields:
            fields["url"] = given.get("url") or ""
        fields["request"] = self._read(type, "request")
        fields["conditions"] = self._read(type, "conditions")
        if not self.is_change:
            service = given.get("service")
            fields |= {"kind": type, "service": str(service.pk) if service else None}
        self.service_fields = fields
        row = copy.copy(self.instance) if self.is_change else HealthCheck(kind=type)
        try:
            check_fields(row, fields)
        except ValidationFailed as error:
            for path, sentences in error.errors.items():
                self._add(type, path, list(sentences))

    def _read(self, kind: str, section: str) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for part in getattr(KINDS[kind], section):
            value = self.cleaned_data.get(field_name(kind, section, part.name))
            if part.name in _LINES:
                value = [line.strip() for line in str(value or "").splitlines() if line.strip()]
            if value not in (None, "", [], {}):
                read[part.name] = value
        return read

    def _add(self, kind: str, path: str, sentences: list[str]) -> None:
        section, _, part = path.partition(".")
        name = field_name(kind, section, part) if part else section.partition("[")[0]
        self.add_error(name if name in self.fields else None, sentences)


def _shown(part: str, value: Any) -> Any:
    if isinstance(value, list):
        return ("\n" if part in _LINES else ", ").join(map(str, value))
    return value


def _of_kinds(kinds: list[str]) -> str:
    return " || ".join(f"kind == '{kind}'" for kind in kinds)


_ALL_FIELDS = {name: field for kind in OFFERED for name, field in fields_of(kind).items()}
CheckForm: Any = type("CheckForm", (BaseCheckForm,), _ALL_FIELDS)
SHOWN_WHEN = {
    **{name: f"kind == '{kind}'" for kind in OFFERED for name in fields_of(kind)},
    "url": _of_kinds([kind for kind in LOOKS if kind in SCHEMES]),
    "service": _of_kinds([kind for kind in LOOKS if kind != CheckKind.DNS]),
    **dict.fromkeys((name for name in TIMES if name != "interval_seconds"), _of_kinds(LOOKS)),
    **dict.fromkeys(JOB_TIMES, _of_kinds([CheckKind.PUSH])),
}
