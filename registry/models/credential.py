"""Credentials: what they are publicly, their sealed secrets, and what was done with them."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q

from core.db.json_fields import CheckedJSONField, object_field, validate_list
from core.db.models import (
    AppendedModel,
    NamedModel,
    NamedQuerySet,
    TimestampedModel,
    name_constraint,
)
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from core.vault import Sealed, SealedColumn

MAX_ACTOR = 100


class CredentialType(Vocabulary):
    """The ways in which a credential is shown to who asks for it."""

    API_KEY = "API_KEY", "API key"
    BEARER_TOKEN = "BEARER_TOKEN", "Bearer token"
    BASIC_AUTH = "BASIC_AUTH", "Basic authentication"
    OAUTH2_CLIENT_CREDENTIALS = "OAUTH2_CLIENT_CREDENTIALS", "OAuth2 client credentials"
    HMAC_SIGNATURE = "HMAC_SIGNATURE", "HMAC signature"
    CLIENT_CERTIFICATE = "CLIENT_CERTIFICATE", "Client certificate"
    CUSTOM_HEADERS = "CUSTOM_HEADERS", "Custom headers"


class SealedModel(TimestampedModel):
    """A row with one sealed secret. An envelope opens only in the row it was made for."""

    ciphertext = models.TextField(blank=True, default="", editable=False)
    key_id = models.CharField(max_length=64, blank=True, default="", editable=False)

    class Meta:
        abstract = True

    @property
    def place(self) -> SealedColumn:
        return SealedColumn(self._meta.db_table, str(self.pk), "ciphertext")

    @property
    def sealed(self) -> Sealed:
        return Sealed(self.ciphertext, self.key_id)

    def hold(self, sealed: Sealed) -> None:
        """Take another envelope; the row is not saved."""
        self.ciphertext, self.key_id = sealed.ciphertext, sealed.key_id


class CredentialQuerySet(NamedQuerySet["Credential"]):
    """Selections of credentials."""


class Credential(NamedModel, SealedModel):
    """A secret with what is public of it, bound to the origins that it may be sent to."""

    type = EnumField(vocabulary=CredentialType)
    attributes = object_field()
    allowed_origins = CheckedJSONField(default=list, blank=True, validators=[validate_list])
    fingerprint = models.CharField(max_length=32, blank=True, default="", editable=False)
    # Rises with every change of what is sent or whither: what was derived from an older one
    # (tokens, TLS contexts) is not used any more.
    version = models.PositiveIntegerField(default=1, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    warned_days = models.IntegerField(null=True, editable=False)
    rotated_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        db_table = "credential"
        ordering = ("name",)
        permissions = (("use_credential", "Can let services use credentials"),)
        constraints = (
            enum_check("credential", "type", CredentialType),
            name_constraint("credential", "A credential"),
        )
        indexes = (
            models.Index(fields=("type", "name"), name="credential_type_name_idx"),
            # The sweep reads only what ends at all.
            models.Index(
                fields=("expires_at",),
                name="credential_expiry_idx",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(fields=("key_id",), name="credential_key_idx"),
        )

    @property
    def has_secret(self) -> bool:
        return bool(self.key_id)


class CredentialToken(SealedModel):
    """The access token that a credential was last given, and who fetches the next.

    Its row is made with the first claim. A claim is a lease: it ends by itself.
    """

    credential = models.OneToOneField(Credential, on_delete=models.CASCADE, related_name="token")
    version = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    lifetime_seconds = models.FloatField(default=0)
    fetched_at = models.DateTimeField(null=True)
    owner = models.CharField(max_length=40, blank=True, default="")
    owner_until = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")
    is_refused = models.BooleanField(default=False)
    retry_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "credential_token"
        indexes = (models.Index(fields=("key_id",), name="credential_token_key_idx"),)

    def __str__(self) -> str:
        return f"Token of {self.credential_id}"


class CredentialEventKind(Vocabulary):
    """The kinds of events in the life of a credential."""

    CREATED = "CREATED", "Created"
    CHANGED = "CHANGED", "Changed"
    ROTATED = "ROTATED", "Secret rotated"
    DELETED = "DELETED", "Deleted"
    LINKED = "LINKED", "Linked"
    UNLINKED = "UNLINKED", "Unlinked"
    USED = "USED", "Used"
    DENIED = "DENIED", "Use denied"
    EXPIRING = "EXPIRING", "Expiry near"
    GRANTED = "GRANTED", "Granted"
    WITHDRAWN = "WITHDRAWN", "Grant withdrawn"


class CredentialEventQuerySet(models.QuerySet["CredentialEvent"]):
    """Selections of entries."""

    def of(self, credential: Credential) -> Self:
        return self.filter(credential_id=credential.pk)


class CredentialEvent(AppendedModel):
    """One entry of the audit trail; it stays when the credential goes.

    Uses are counted: one entry for each hour, credential, service and caller. `updated_at` is the
    last of them.
    """

    credential_id = models.UUIDField()
    credential_name = models.CharField(max_length=100)
    kind = EnumField(vocabulary=CredentialEventKind, max_length=20)
    actor = models.CharField(max_length=MAX_ACTOR, blank=True, default="")
    subject = models.CharField(max_length=200, blank=True, default="")
    detail = models.CharField(max_length=500, blank=True, default="")
    count = models.PositiveIntegerField(default=1)
    request_id = models.CharField(max_length=128, blank=True, default="")

    objects = CredentialEventQuerySet.as_manager()

    class Meta:
        db_table = "credential_event"
        ordering = ("-id",)
        constraints = (enum_check("credential_event", "kind", CredentialEventKind),)
        indexes = (models.Index(fields=("credential_id", "-id"), name="credential_event_row_idx"),)

    def __str__(self) -> str:
        return f"{self.credential_name}: {self.get_kind_display()}"
