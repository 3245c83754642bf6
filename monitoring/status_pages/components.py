"""What a status page is made of: services under names and in groups of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.exceptions import ValidationFailed
from registry.models import Service

MOST = 200
LONGEST = 100
MEMBERS = ("service", "name", "group")
_GROUP = re.compile(r"\[(.*)\]")


def read_components(given: Sequence[Any]) -> list[dict[str, str]]:
    """Return the components as they are stored: services by their ids.

    Raises:
        ValidationFailed: one is no object, is of no service, or is there twice.
    """
    if len(given) > MOST:
        raise ValidationFailed.at("components", f"At most {MOST}.")
    read: list[dict[str, str]] = []
    for place, each in enumerate(given):
        at = f"components[{place}]"
        component = _read(each, at)
        if any(other["service"] == component["service"] for other in read):
            raise ValidationFailed.at(f"{at}.service", "This service is there already.")
        read.append(component)
    return read


def _read(given: Any, at: str) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise ValidationFailed.at(at, 'Must be an object such as {"service": "shop"}.')
    if unknown := [name for name in given if name not in MEMBERS]:
        sentence = f"There is no such member. Known: {', '.join(MEMBERS)}."
        raise ValidationFailed.at(f"{at}.{str(unknown[0])[:100]}", sentence)
    texts = {name: given.get(name) or "" for name in MEMBERS}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) > LONGEST or not text.isprintable():
            raise ValidationFailed.at(f"{at}.{name}", f"Must be a text of at most {LONGEST}.")
    if not texts["service"]:
        raise ValidationFailed.at(f"{at}.service", "Name a service.")
    service = Service.objects.get_given(f"{at}.service", texts["service"])
    kept = {name: texts[name].strip() for name in ("name", "group") if texts[name].strip()}
    return {"service": str(service.pk), **kept}


def shown_components(stored: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the components with the names of their services; without those that are gone."""
    ids = [each["service"] for each in stored]
    names = {
        str(pk): name for pk, name in Service.objects.filter(pk__in=ids).values_list("pk", "name")
    }
    return [
        {**each, "service": names[each["service"]]} for each in stored if each["service"] in names
    ]


def to_lines(components: Sequence[Mapping[str, str]]) -> str:
    """Return shown components as a person writes them: groups in brackets, one in each line."""
    lines: list[str] = []
    group = ""
    for each in components:
        if each.get("group", "") != group:
            group = each.get("group", "")
            lines += ["", f"[{group}]"] if lines else [f"[{group}]"]
        name = each.get("name", "")
        lines.append(f"{name} = {each['service']}" if name else each["service"])
    return "\n".join(lines)


def from_lines(text: str) -> list[dict[str, str]]:
    """Return what a person wrote, not yet checked (pure)."""
    components: list[dict[str, str]] = []
    group = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if found := _GROUP.fullmatch(line):
            group = found[1].strip()
            continue
        name, _, service = line.rpartition("=")
        components.append({"service": service.strip(), "name": name.strip(), "group": group})
    return components
