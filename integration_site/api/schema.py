"""How the OpenAPI document is made."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """API keys in the document."""

    target_class = "integration_site.api.auth.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):
    """Admin sessions in the document."""

    target_class = "integration_site.api.auth.AdminSessionAuthentication"
    name = "AdminSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class AnonymousScheme(OpenApiAuthenticationExtension):
    """Callers without a key in the document."""

    target_class = "integration_site.api.auth.AnonymousRoleAuthentication"
    name = "KnownNetwork"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "X-API-Key"}


class HubSchema(AutoSchema):
    """Operations grouped by the first word of their path."""

    def get_tags(self) -> list[str]:
        return [self.path.strip("/").split("/")[0] or "hub"]
