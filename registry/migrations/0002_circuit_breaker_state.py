import uuid

import django.db.models.deletion
from django.db import migrations, models

import registry.circuits.profile
import registry.models.base


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="service",
            name="breaker",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text='What its circuit breakers do otherwise: {"failure_threshold": 10}.',
                validators=[registry.circuits.profile.validate_breaker],
            ),
        ),
        migrations.CreateModel(
            name="CircuitBreakerState",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("state", models.CharField(default="CLOSED", max_length=20)),
                ("generation", models.PositiveBigIntegerField(default=0)),
                ("failure_count", models.PositiveIntegerField(default=0)),
                ("success_count", models.PositiveIntegerField(default=0)),
                ("open_count", models.PositiveIntegerField(default=0)),
                ("opened_at", models.DateTimeField(blank=True, null=True)),
                ("retry_at", models.DateTimeField(blank=True, null=True)),
                ("last_failure_at", models.DateTimeField(blank=True, null=True)),
                ("probe_owner", models.CharField(blank=True, default="", max_length=100)),
                ("probe_until", models.DateTimeField(blank=True, null=True)),
                ("forced_by", models.CharField(blank=True, default="", max_length=100)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("cause", models.CharField(blank=True, default="", max_length=300)),
                (
                    "window",
                    models.JSONField(
                        blank=True, default=list, validators=[registry.models.base.validate_list]
                    ),
                ),
                (
                    "instance",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="circuit",
                        to="registry.serviceinstance",
                    ),
                ),
            ],
            options={
                "verbose_name": "circuit breaker",
                "db_table": "circuit_breaker_state",
                "ordering": ("instance__service__name", "instance__url"),
                "indexes": [
                    models.Index(fields=["updated_at"], name="circuit_updated_idx"),
                    models.Index(
                        condition=models.Q(("until__isnull", False)),
                        fields=["until"],
                        name="circuit_until_idx",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                ["CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN", "DISABLED"],
                            )
                        ),
                        name="circuit_breaker_state_state_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("instance__isnull", False)),
                        name="circuit_breaker_state_guards_check",
                    ),
                ],
            },
        ),
    ]
