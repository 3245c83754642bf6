"""Former names of modules, and of what is in them, that landed migrations import.

A migration that has landed is never edited, and modules move. Importing this module, as the
`migrations` packages do, makes each former name mean the module, or the modules, of today.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

FORMER_NAMES = {
    "registry.addresses": ("core.addresses",),
    "registry.circuits": (),
    "registry.circuits.profile": ("registry.policies.circuit_profile",),
    "registry.identifiers": ("core.identifiers",),
    "registry.integrations.config": ("registry.policies.integration_config",),
    "registry.integrations.mapping": ("registry.policies.integration_mapping",),
    "registry.json_equality": ("core.json.equality",),
    "registry.limits": (),
    "registry.limits.rules": ("registry.policies.rate_limits",),
    "registry.models.access": ("core.models.api_key",),
    "registry.models.base": ("core.db.json_fields", "core.db.uuid7"),
    "registry.models.names": ("core.db.names",),
    "registry.probing": ("registry.policies.probing",),
}
# What left a module that is still there, and where it is now.
FORMER_PLACES = {
    ("registry.models.service", "validate_schema"): "registry.models.action",
    ("registry.models.service", "validate_service_url"): "registry.models.address_fields",
}


def _name_again(former: str, modules: tuple[str, ...]) -> None:
    alias = ModuleType(former, f"Former name of {', '.join(modules)}.")
    for module in modules:
        vars(alias).update(vars(import_module(module)) | {"__name__": former})
    sys.modules[former] = alias
    package, _, name = former.rpartition(".")
    setattr(import_module(package), name, alias)


for _former, _modules in FORMER_NAMES.items():
    if _former not in sys.modules:
        _name_again(_former, _modules)
for (_former, _name), _module in FORMER_PLACES.items():
    setattr(import_module(_former), _name, getattr(import_module(_module), _name))
