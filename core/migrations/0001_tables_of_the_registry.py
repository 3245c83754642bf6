"""Take over three tables of the registry, as they are: nothing of them changes but their app.

Their rows in `django_content_type`, which permissions and the log of the admin refer to, go along.
"""

import uuid

from django.db import migrations, models

import core.db.json_fields
import core.db.names
import core.db.uuid7
import core.models.api_key

MODELS = ("apikey", "auditentry", "idempotencyrecord")


def move_content_types(apps, before, after):
    content_types = apps.get_model("contenttypes", "ContentType").objects
    for model in MODELS:
        moved = content_types.filter(app_label=before, model=model)
        if not content_types.filter(app_label=after, model=model).exists():
            moved.update(app_label=after)


def from_registry(apps, schema_editor):
    move_content_types(apps, "registry", "core")


def to_registry(apps, schema_editor):
    move_content_types(apps, "core", "registry")


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("registry", "0016_audit_verbs_in_use"),
        # These still look for the tables under the registry.
        ("workflows", "0014_names_are_no_ids"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="ApiKey",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=uuid.uuid4,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                        (
                            "name",
                            models.CharField(
                                max_length=100, unique=True, validators=[core.db.names.refuse_id]
                            ),
                        ),
                        ("prefix", models.CharField(editable=False, max_length=8, unique=True)),
                        ("digest", models.CharField(editable=False, max_length=64)),
                        ("role", models.CharField(default="VIEWER", max_length=30)),
                        (
                            "scopes",
                            models.JSONField(
                                blank=True,
                                default=list,
                                help_text="Instead of the role's scopes. Empty: what the role may do.",
                                validators=[core.models.api_key.validate_scopes],
                            ),
                        ),
                        (
                            "networks",
                            models.JSONField(
                                blank=True,
                                default=list,
                                help_text="Where calls may come from, such as 10.0.0.0/8. Empty: anywhere.",
                                validators=[core.models.api_key.validate_networks],
                            ),
                        ),
                        ("expires_at", models.DateTimeField(blank=True, null=True)),
                        ("revoked_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "last_used_at",
                            models.DateTimeField(blank=True, editable=False, null=True),
                        ),
                    ],
                    options={
                        "verbose_name": "API key",
                        "db_table": "api_key",
                        "ordering": ("name",),
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "role__in",
                                        [
                                            "VIEWER",
                                            "SERVICE",
                                            "WORKFLOW_EDITOR",
                                            "OPERATOR",
                                            "SECRET_ADMIN",
                                            "AUDITOR",
                                        ],
                                    )
                                ),
                                name="api_key_role_check",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="AuditEntry",
                    fields=[
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                        (
                            "id",
                            models.UUIDField(
                                default=core.db.uuid7.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("actor_kind", models.CharField(max_length=20)),
                        ("actor_id", models.CharField(blank=True, default="", max_length=64)),
                        ("actor", models.CharField(max_length=150)),
                        ("verb", models.CharField(max_length=30)),
                        ("object_type", models.CharField(max_length=50)),
                        ("object_id", models.CharField(max_length=64)),
                        ("object_name", models.CharField(max_length=300)),
                        ("reason", models.CharField(blank=True, default="", max_length=500)),
                        (
                            "changes",
                            models.JSONField(
                                blank=True,
                                default=dict,
                                help_text="By field: what it was, and what it is.",
                                validators=[core.db.json_fields.validate_object],
                            ),
                        ),
                        ("request_id", models.CharField(blank=True, default="", max_length=128)),
                    ],
                    options={
                        "verbose_name": "audit entry",
                        "verbose_name_plural": "audit entries",
                        "db_table": "audit_entry",
                        "ordering": ("-id",),
                        "indexes": [
                            models.Index(
                                fields=["object_type", "object_id", "-id"],
                                name="audit_entry_object_idx",
                            ),
                            models.Index(fields=["actor", "-id"], name="audit_entry_actor_idx"),
                            models.Index(fields=["verb", "-id"], name="audit_entry_verb_idx"),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("actor_kind__in", ["USER", "API_KEY", "ANONYMOUS"])
                                ),
                                name="audit_entry_actor_kind_check",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "verb__in",
                                        [
                                            "CREATED",
                                            "CHANGED",
                                            "DELETED",
                                            "STATUS_SET",
                                            "MAINTENANCE_STARTED",
                                            "MAINTENANCE_ENDED",
                                            "FORCED_OPEN",
                                            "CLOSED",
                                            "RESET",
                                            "ENABLED",
                                            "DISABLED",
                                            "ROTATED",
                                            "REVOKED",
                                            "PASSWORD_SET",
                                            "ACTIVATED",
                                            "STARTED",
                                            "CALLED",
                                            "TESTED",
                                            "CANCELLED",
                                            "PAUSED",
                                            "RESUMED",
                                            "RETRIED",
                                            "RERUN",
                                            "SIGNALLED",
                                            "APPROVED",
                                            "REJECTED",
                                            "COMPLETED",
                                            "FAILED",
                                            "BACKFILLED",
                                            "ACKNOWLEDGED",
                                            "RESOLVED",
                                            "EXPIRED",
                                            "KEPT",
                                        ],
                                    )
                                ),
                                name="audit_entry_verb_check",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="IdempotencyRecord",
                    fields=[
                        ("created_at", models.DateTimeField(auto_now_add=True)),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                        (
                            "id",
                            models.UUIDField(
                                default=core.db.uuid7.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("caller", models.CharField(max_length=150)),
                        ("key_digest", models.CharField(max_length=64)),
                        ("request_digest", models.CharField(max_length=64)),
                        ("status_code", models.PositiveSmallIntegerField(default=0)),
                        ("body", models.JSONField(null=True)),
                        ("headers", models.JSONField(default=dict)),
                    ],
                    options={
                        "db_table": "idempotency_record",
                        "indexes": [
                            models.Index(fields=["created_at"], name="idempotency_created_idx")
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("caller", "key_digest"),
                                name="idempotency_record_caller_key",
                            )
                        ],
                    },
                ),
            ]
        ),
        migrations.RunPython(from_registry, to_registry),
    ]
