import django.db.models.deletion
from django.db import migrations, models

import core.db.json_fields
import core.db.uuid7


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0004_timelines_and_maintenance"),
        ("registry", "0025_grant_what_is_used"),
    ]

    operations = [
        migrations.CreateModel(
            name="MemoryState",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("log_index", models.BigIntegerField(default=0)),
                ("summed_until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "monitoring_memory",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="monitoring_memory_one_row_check"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="StatusSpan",
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
                ("status", models.CharField(max_length=20)),
                ("version", models.CharField(blank=True, db_default="", default="", max_length=50)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "service",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="spans",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "db_table": "status_span",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["service", "ended_at"], name="status_span_service_idx"),
                    models.Index(fields=["ended_at"], name="status_span_ended_idx"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    "ONLINE",
                                    "DEGRADED",
                                    "OFFLINE",
                                    "MAINTENANCE",
                                    "UNKNOWN",
                                    "PENDING",
                                ],
                            )
                        ),
                        name="status_span_status_check",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("service",),
                        name="status_span_one_open_key",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at", None),
                            ("ended_at__gte", models.F("started_at")),
                            _connector="OR",
                        ),
                        name="status_span_order_check",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UptimeRollup",
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
                ("period", models.CharField(max_length=10)),
                ("starts_at", models.DateTimeField()),
                ("up_ms", models.PositiveIntegerField(default=0)),
                ("down_ms", models.PositiveIntegerField(default=0)),
                ("maintenance_up_ms", models.PositiveIntegerField(default=0)),
                ("maintenance_down_ms", models.PositiveIntegerField(default=0)),
                ("unknown_ms", models.PositiveIntegerField(default=0)),
                (
                    "latencies",
                    models.JSONField(
                        blank=True, default=list, validators=[core.db.json_fields.validate_list]
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rollups",
                        to="registry.service",
                    ),
                ),
            ],
            options={
                "db_table": "uptime_rollup",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["period", "starts_at"], name="uptime_rollup_period_idx")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("period__in", ["HOUR", "DAY"])),
                        name="uptime_rollup_period_check",
                    ),
                    models.UniqueConstraint(
                        fields=("service", "period", "starts_at"), name="uptime_rollup_key"
                    ),
                ],
            },
        ),
    ]
