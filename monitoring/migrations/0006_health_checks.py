import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import core.db.json_fields
import core.db.names
import core.db.uuid7


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0005_uptime"),
        ("registry", "0025_grant_what_is_used"),
    ]

    operations = [
        migrations.CreateModel(
            name="CheckState",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("state", models.CharField(default="UNKNOWN", max_length=20)),
                ("since", models.DateTimeField()),
                ("failures", models.PositiveIntegerField(default=0)),
                ("successes", models.PositiveIntegerField(default=0)),
                ("first_failure_at", models.DateTimeField(null=True)),
                ("down_since", models.DateTimeField(null=True)),
                ("blips", models.PositiveIntegerField(default=0)),
                ("flap_bits", models.PositiveIntegerField(default=0)),
                ("flapping", models.BooleanField(default=False)),
                ("outcome", models.CharField(blank=True, default="", max_length=20)),
                ("error_kind", models.CharField(blank=True, default="", max_length=20)),
                ("error", models.CharField(blank=True, default="", max_length=200)),
                ("latency_ms", models.FloatField(null=True)),
                ("certificate_expires_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("last_result_at", models.DateTimeField(null=True)),
                ("next_due_at", models.DateTimeField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("fence", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "db_table": "check_state",
            },
        ),
        migrations.CreateModel(
            name="HealthCheck",
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
                ("kind", models.CharField(max_length=20)),
                ("url", models.CharField(blank=True, default="", max_length=500)),
                ("is_automatic", models.BooleanField(default=False, editable=False)),
                (
                    "interval_seconds",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(5),
                            django.core.validators.MaxValueValidator(86400),
                        ],
                    ),
                ),
                (
                    "timeout_seconds",
                    models.PositiveIntegerField(
                        default=5,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(60),
                        ],
                    ),
                ),
                (
                    "retry_seconds",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(86400),
                        ],
                    ),
                ),
                (
                    "failure_threshold",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "success_threshold",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "request",
                    models.JSONField(
                        blank=True, default=dict, validators=[core.db.json_fields.validate_object]
                    ),
                ),
                (
                    "conditions",
                    models.JSONField(
                        blank=True, default=dict, validators=[core.db.json_fields.validate_object]
                    ),
                ),
                ("cron", models.CharField(blank=True, default="", max_length=100)),
                ("timezone", models.CharField(blank=True, default="UTC", max_length=64)),
                (
                    "grace_seconds",
                    models.PositiveIntegerField(
                        default=60,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(2678400),
                        ],
                    ),
                ),
                ("severity", models.CharField(default="CRITICAL", max_length=20)),
                ("enabled", models.BooleanField(default=True)),
                ("paused_until", models.DateTimeField(blank=True, null=True)),
                ("owner", models.CharField(blank=True, default="", max_length=100)),
                (
                    "tags",
                    models.JSONField(
                        blank=True, default=list, validators=[core.db.json_fields.validate_tags]
                    ),
                ),
                (
                    "push_digest",
                    models.CharField(blank=True, default="", editable=False, max_length=64),
                ),
            ],
            options={
                "db_table": "health_check",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="HealthCheckResult",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.db.uuid7.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("checked_at", models.DateTimeField()),
                ("outcome", models.CharField(max_length=20)),
                ("latency_ms", models.FloatField(null=True)),
                ("status_code", models.PositiveSmallIntegerField(null=True)),
                ("error_kind", models.CharField(blank=True, default="", max_length=20)),
                ("error", models.CharField(blank=True, default="", max_length=200)),
                ("in_maintenance", models.BooleanField(default=False)),
                ("late_ms", models.PositiveIntegerField(default=0)),
                ("location", models.CharField(blank=True, default="", max_length=50)),
            ],
            options={
                "db_table": "health_check_result",
                "ordering": ("-id",),
            },
        ),
        migrations.RemoveConstraint(
            model_name="incident",
            name="incident_subject_check",
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
                            "CHECK_FAILING",
                            "CHECK_FLAPPING",
                            "CERTIFICATE_EXPIRY",
                            "CHECKS_BLIND",
                            "CHANNEL_FAILING",
                            "MANUAL",
                        ],
                    )
                ),
                name="incident_subject_check",
            ),
        ),
        migrations.AddField(
            model_name="checkstate",
            name="instance",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="check_states",
                to="registry.serviceinstance",
            ),
        ),
        migrations.AddField(
            model_name="healthcheck",
            name="service",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="checks",
                to="registry.service",
            ),
        ),
        migrations.AddField(
            model_name="checkstate",
            name="health_check",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="states",
                to="monitoring.healthcheck",
            ),
        ),
        migrations.AddField(
            model_name="healthcheckresult",
            name="health_check",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="results",
                to="monitoring.healthcheck",
            ),
        ),
        migrations.AddField(
            model_name="healthcheckresult",
            name="instance",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="registry.serviceinstance",
            ),
        ),
        migrations.AddConstraint(
            model_name="healthcheck",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["HTTP", "TCP", "DNS", "TLS", "HEARTBEAT", "PUSH"])
                ),
                name="health_check_kind_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="healthcheck",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__in", ["WARNING", "CRITICAL"])),
                name="health_check_severity_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="healthcheck",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"),
                name="health_check_name_key",
                violation_error_message="A check with this name exists (names ignore case).",
            ),
        ),
        migrations.AddConstraint(
            model_name="healthcheck",
            constraint=models.CheckConstraint(
                condition=models.Q(("service__isnull", True), ("url", ""), _connector="OR"),
                name="health_check_one_target",
            ),
        ),
        migrations.AddConstraint(
            model_name="healthcheck",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_automatic", True)),
                fields=("service",),
                name="health_check_automatic_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="healthcheck",
            constraint=models.UniqueConstraint(
                condition=models.Q(("push_digest", ""), _negated=True),
                fields=("push_digest",),
                name="health_check_push_key",
            ),
        ),
        migrations.AddIndex(
            model_name="checkstate",
            index=models.Index(
                condition=models.Q(("next_due_at__isnull", False)),
                fields=["next_due_at"],
                name="check_state_due_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="checkstate",
            index=models.Index(
                condition=models.Q(("state", "UP"), _negated=True),
                fields=["state"],
                name="check_state_trouble_idx",
            ),
        ),
        migrations.AddConstraint(
            model_name="checkstate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        ["UNKNOWN", "UP", "SUSPECT", "DOWN", "RECOVERING", "STALE", "PAUSED"],
                    )
                ),
                name="check_state_state_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="checkstate",
            constraint=models.UniqueConstraint(
                fields=("health_check", "instance"), name="check_state_instance_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="checkstate",
            constraint=models.UniqueConstraint(
                condition=models.Q(("instance__isnull", True)),
                fields=("health_check",),
                name="check_state_alone_key",
            ),
        ),
        migrations.AddIndex(
            model_name="healthcheckresult",
            index=models.Index(
                fields=["health_check", "instance", "checked_at"], name="check_result_subject_idx"
            ),
        ),
        migrations.AddConstraint(
            model_name="healthcheckresult",
            constraint=models.CheckConstraint(
                condition=models.Q(("outcome__in", ["OK", "FAIL", "INCONCLUSIVE"])),
                name="health_check_result_outcome_check",
            ),
        ),
    ]
