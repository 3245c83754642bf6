import uuid

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import core.db.names
import core.db.uuid7


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0008_told_severity"),
        ("registry", "0025_grant_what_is_used"),
    ]

    operations = [
        migrations.CreateModel(
            name="Slo",
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
                ("kind", models.CharField(default="AVAILABILITY", max_length=20)),
                (
                    "target",
                    models.FloatField(
                        default=99.9,
                        validators=[
                            django.core.validators.MinValueValidator(50),
                            django.core.validators.MaxValueValidator(99.999),
                        ],
                    ),
                ),
                (
                    "window_days",
                    models.PositiveIntegerField(
                        default=30,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(90),
                        ],
                    ),
                ),
                (
                    "threshold_ms",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(60000),
                        ],
                    ),
                ),
                (
                    "min_events",
                    models.PositiveIntegerField(
                        default=20,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000000),
                        ],
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("counted_until", models.DateTimeField(editable=False, null=True)),
            ],
            options={
                "verbose_name": "objective",
                "db_table": "slo",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="SloMinute",
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
                ("good", models.PositiveIntegerField()),
                ("total", models.PositiveIntegerField()),
            ],
            options={
                "db_table": "slo_minute",
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
                            "BUDGET_BURNING",
                            "MANUAL",
                        ],
                    )
                ),
                name="incident_subject_check",
            ),
        ),
        migrations.AddField(
            model_name="slo",
            name="service",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="slos",
                to="registry.service",
            ),
        ),
        migrations.AddField(
            model_name="slominute",
            name="slo",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="minutes",
                to="monitoring.slo",
            ),
        ),
        migrations.AddConstraint(
            model_name="slo",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["AVAILABILITY", "LATENCY"])), name="slo_kind_check"
            ),
        ),
        migrations.AddConstraint(
            model_name="slo",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("name"),
                name="slo_name_key",
                violation_error_message="An objective with this name exists (names ignore case).",
            ),
        ),
        migrations.AddConstraint(
            model_name="slo",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind", "AVAILABILITY"), ("threshold_ms__isnull", False), _connector="OR"
                ),
                name="slo_threshold_check",
            ),
        ),
        migrations.AddIndex(
            model_name="slominute",
            index=models.Index(fields=["starts_at"], name="slo_minute_time_idx"),
        ),
        migrations.AddConstraint(
            model_name="slominute",
            constraint=models.UniqueConstraint(fields=("slo", "starts_at"), name="slo_minute_key"),
        ),
        migrations.AddConstraint(
            model_name="slominute",
            constraint=models.CheckConstraint(
                condition=models.Q(("good__lte", models.F("total"))), name="slo_minute_sum_check"
            ),
        ),
    ]
