"""Timelines of incidents, incidents opened by hand, and planned maintenance."""

import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import core.db.json_fields
import core.db.names
import core.db.uuid7


def forget_those_by_hand(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # What is deleted must be settled before the table is altered.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    apps.get_model("monitoring", "Incident").objects.filter(subject="MANUAL").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0003_alerts"),
        ("registry", "0025_grant_what_is_used"),
    ]

    operations = [
        migrations.CreateModel(
            name="IncidentUpdate",
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
                ("kind", models.CharField(max_length=20)),
                (
                    "page_status",
                    models.CharField(blank=True, db_default="", default="", max_length=20),
                ),
                ("text", models.TextField(blank=True, default="")),
                ("actor", models.CharField(blank=True, db_default="", default="", max_length=150)),
                ("public", models.BooleanField(db_default=False, default=False)),
                ("at", models.DateTimeField()),
            ],
            options={
                "db_table": "incident_update",
                "ordering": ("at", "id"),
            },
        ),
        migrations.CreateModel(
            name="MaintenanceOccurrence",
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
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("state", models.CharField(default="SCHEDULED", max_length=20)),
                ("planned_at", models.DateTimeField()),
            ],
            options={
                "db_table": "maintenance_occurrence",
                "ordering": ("starts_at", "id"),
            },
        ),
        migrations.CreateModel(
            name="MaintenanceWindow",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "name",
                    models.CharField(max_length=100, validators=[core.db.names.validate_name]),
                ),
                ("description", models.TextField(blank=True, default="", max_length=5000)),
                (
                    "services",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Names of services, such as pay-*.",
                        validators=[core.db.json_fields.validate_strings],
                    ),
                ),
                (
                    "tags",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Services with one of these tags.",
                        validators=[core.db.json_fields.validate_strings],
                    ),
                ),
                (
                    "types",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Services of one of these types.",
                        validators=[core.db.json_fields.validate_strings],
                    ),
                ),
                (
                    "everything",
                    models.BooleanField(
                        default=False, help_text="Every service, and the hub itself."
                    ),
                ),
                ("starts_at", models.DateTimeField(blank=True, null=True)),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("cron", models.CharField(blank=True, default="", max_length=100)),
                (
                    "duration_minutes",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10080),
                        ],
                    ),
                ),
                ("timezone", models.CharField(blank=True, default="UTC", max_length=64)),
                ("status", models.CharField(default="SCHEDULED", editable=False, max_length=20)),
                (
                    "suppress_alerts",
                    models.BooleanField(default=True, help_text="Nobody is called meanwhile."),
                ),
                ("public", models.BooleanField(default=False, help_text="Shown on status pages.")),
                (
                    "created_by",
                    models.CharField(blank=True, default="", editable=False, max_length=150),
                ),
            ],
            options={
                "verbose_name": "maintenance window",
                "db_table": "maintenance_window",
                "ordering": ("name",),
            },
        ),
        migrations.RemoveConstraint(
            model_name="incident",
            name="incident_subject_check",
        ),
        migrations.RunPython(migrations.RunPython.noop, forget_those_by_hand),
        migrations.AddField(
            model_name="incident",
            name="acknowledged_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="assigned_to",
            field=models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
        migrations.AddField(
            model_name="incident",
            name="hold_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="incident",
            name="impact",
            field=models.CharField(db_default="NONE", default="NONE", max_length=20),
        ),
        migrations.AddField(
            model_name="incident",
            name="merged_into",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="merged",
                to="monitoring.incident",
            ),
        ),
        migrations.AddField(
            model_name="incident",
            name="opened_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
        migrations.AddField(
            model_name="incident",
            name="page_status",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
        migrations.AddField(
            model_name="incident",
            name="public",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="incident",
            name="suppressed_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="suppressed",
                to="monitoring.incident",
            ),
        ),
        migrations.AddField(
            model_name="incident",
            name="suppressed_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
        migrations.AddField(
            model_name="incident",
            name="title",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("public", True)),
                fields=["opened_at"],
                name="incident_public_idx",
            ),
        ),
        migrations.AddConstraint(
            model_name="incident",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "subject__in",
                        [
                            "MASS_EXPIRY",
                            "DISCOVERY_BACKEND",
                            "SERVICE_DOWN",
                            "SERVICE_DEGRADED",
                            "CIRCUIT_OPEN",
                            "CONNECTION_ERROR",
                            "CREDENTIAL_EXPIRY",
                            "SCHEDULE_FAILED",
                            "NEEDS_REVIEW",
                            "CHANNEL_FAILING",
                            "MANUAL",
                        ],
                    )
                ),
                name="incident_subject_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="incident",
            constraint=models.CheckConstraint(
                condition=models.Q(("impact__in", ["NONE", "MINOR", "MAJOR", "CRITICAL"])),
                name="incident_impact_check",
            ),
        ),
        migrations.AddField(
            model_name="incidentupdate",
            name="incident",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="updates",
                to="monitoring.incident",
            ),
        ),
        migrations.AddIndex(
            model_name="maintenancewindow",
            index=models.Index(fields=["status"], name="maintenance_window_status_idx"),
        ),
        migrations.AddConstraint(
            model_name="maintenancewindow",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["SCHEDULED", "IN_PROGRESS", "COMPLETED", "CANCELLED"])
                ),
                name="maintenance_window_status_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="maintenancewindow",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"),
                name="maintenance_window_name_key",
                violation_error_message="A maintenance window with this name exists (names ignore case).",
            ),
        ),
        migrations.AddField(
            model_name="maintenanceoccurrence",
            name="window",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="occurrences",
                to="monitoring.maintenancewindow",
            ),
        ),
        migrations.AddIndex(
            model_name="incidentupdate",
            index=models.Index(fields=["incident", "at"], name="incident_update_idx"),
        ),
        migrations.AddConstraint(
            model_name="incidentupdate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["STATUS", "NOTE", "ACK", "ESCALATION", "DELIVERY", "LINK"])
                ),
                name="incident_update_kind_check",
            ),
        ),
        migrations.AddIndex(
            model_name="maintenanceoccurrence",
            index=models.Index(fields=["ends_at", "starts_at"], name="maintenance_occurrence_idx"),
        ),
        migrations.AddConstraint(
            model_name="maintenanceoccurrence",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["SCHEDULED", "IN_PROGRESS", "COMPLETED"])),
                name="maintenance_occurrence_state_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="maintenanceoccurrence",
            constraint=models.UniqueConstraint(
                fields=("window", "planned_at"), name="maintenance_occurrence_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="maintenanceoccurrence",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_at__gte", models.F("starts_at"))),
                name="maintenance_occurrence_times_check",
            ),
        ),
    ]
