import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import core.db.json_fields
import core.db.names
import core.db.uuid7


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0002_incident_keys")]

    operations = [
        migrations.CreateModel(
            name="AlertChannel",
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
                ("ciphertext", models.TextField(blank=True, default="", editable=False)),
                ("key_id", models.CharField(blank=True, default="", editable=False, max_length=64)),
                ("type", models.CharField(max_length=20)),
                ("enabled", models.BooleanField(default=True)),
                (
                    "config",
                    models.JSONField(
                        blank=True, default=dict, validators=[core.db.json_fields.validate_object]
                    ),
                ),
                ("min_severity", models.CharField(default="WARNING", max_length=20)),
                (
                    "subjects",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Only incidents of these kinds. Empty: of all.",
                        validators=[core.db.json_fields.validate_strings],
                    ),
                ),
                (
                    "services",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Only of services of these names, such as pay-*. Empty: of all, and of the hub.",
                        validators=[core.db.json_fields.validate_strings],
                    ),
                ),
                (
                    "tags",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Only of services with one of these tags. Empty: of all, and of the hub.",
                        validators=[core.db.json_fields.validate_strings],
                    ),
                ),
                (
                    "send_resolved",
                    models.BooleanField(default=True, help_text="Tell that it is over, too."),
                ),
                (
                    "group_wait_seconds",
                    models.PositiveIntegerField(
                        default=30, validators=[django.core.validators.MaxValueValidator(3600)]
                    ),
                ),
                (
                    "group_interval_seconds",
                    models.PositiveIntegerField(
                        default=300, validators=[django.core.validators.MaxValueValidator(86400)]
                    ),
                ),
                (
                    "repeat_seconds",
                    models.PositiveIntegerField(
                        default=14400,
                        validators=[django.core.validators.MaxValueValidator(2592000)],
                    ),
                ),
                (
                    "per_minute",
                    models.PositiveIntegerField(
                        default=20,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000),
                        ],
                    ),
                ),
                ("failures", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "last_error",
                    models.CharField(blank=True, default="", editable=False, max_length=500),
                ),
                ("last_sent_at", models.DateTimeField(editable=False, null=True)),
            ],
            options={
                "db_table": "alert_channel",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="AlertDelivery",
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
                ("reason", models.CharField(max_length=20)),
                ("state", models.CharField(default="PENDING", max_length=20)),
                ("severity", models.CharField(max_length=20)),
                ("group_key", models.CharField(max_length=300)),
                ("title", models.CharField(max_length=300)),
                ("text", models.TextField()),
                ("incidents", models.JSONField(default=list)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField()),
                ("lease_until", models.DateTimeField(null=True)),
                ("status_code", models.PositiveIntegerField(null=True)),
                ("response", models.CharField(blank=True, default="", max_length=500)),
                ("sent_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "alert message",
                "db_table": "alert_delivery",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="AlertNotice",
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
                ("state", models.CharField(max_length=20)),
                ("told_at", models.DateTimeField()),
            ],
            options={
                "db_table": "alert_notice",
            },
        ),
        migrations.AddIndex(
            model_name="alertchannel",
            index=models.Index(fields=["key_id"], name="alert_channel_key_idx"),
        ),
        migrations.AddConstraint(
            model_name="alertchannel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "type__in",
                        [
                            "EMAIL",
                            "WEBHOOK",
                            "SLACK",
                            "TEAMS",
                            "DISCORD",
                            "TELEGRAM",
                            "NTFY",
                            "PAGERDUTY",
                            "OPSGENIE",
                        ],
                    )
                ),
                name="alert_channel_type_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertchannel",
            constraint=models.CheckConstraint(
                condition=models.Q(("min_severity__in", ["WARNING", "CRITICAL"])),
                name="alert_channel_min_severity_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertchannel",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"),
                name="alert_channel_name_key",
                violation_error_message="A channel with this name exists (names ignore case).",
            ),
        ),
        migrations.AddField(
            model_name="alertdelivery",
            name="channel",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="monitoring.alertchannel",
            ),
        ),
        migrations.AddField(
            model_name="alertnotice",
            name="channel",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notices",
                to="monitoring.alertchannel",
            ),
        ),
        migrations.AddField(
            model_name="alertnotice",
            name="incident",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notices",
                to="monitoring.incident",
            ),
        ),
        migrations.AddIndex(
            model_name="alertdelivery",
            index=models.Index(fields=["channel", "id"], name="alert_delivery_channel_idx"),
        ),
        migrations.AddIndex(
            model_name="alertdelivery",
            index=models.Index(
                condition=models.Q(("state__in", ("PENDING", "SENDING"))),
                fields=["next_attempt_at"],
                name="alert_delivery_due_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="alertdelivery",
            index=models.Index(
                condition=models.Q(("state", "SENT")),
                fields=["channel", "sent_at"],
                name="alert_delivery_sent_idx",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason__in", ["FIRING", "REPEAT", "RESOLVED", "TEST"])),
                name="alert_delivery_reason_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["PENDING", "SENDING", "SENT", "DEAD"])),
                name="alert_delivery_state_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__in", ["WARNING", "CRITICAL"])),
                name="alert_delivery_severity_check",
            ),
        ),
        migrations.AddIndex(
            model_name="alertnotice",
            index=models.Index(
                condition=models.Q(("state", "FIRING")),
                fields=["channel"],
                name="alert_notice_firing_idx",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["FIRING", "RESOLVED"])),
                name="alert_notice_state_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertnotice",
            constraint=models.UniqueConstraint(
                fields=("channel", "incident"), name="alert_notice_key"
            ),
        ),
    ]
