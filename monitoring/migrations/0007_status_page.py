import uuid

import django.db.models.functions.text
from django.db import migrations, models

import core.db.json_fields
import core.db.names


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0006_health_checks"),
    ]

    operations = [
        migrations.CreateModel(
            name="StatusPage",
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
                ("title", models.CharField(blank=True, default="", max_length=100)),
                ("visibility", models.CharField(default="OFF", max_length=10)),
                (
                    "components",
                    models.JSONField(
                        blank=True, default=list, validators=[core.db.json_fields.validate_list]
                    ),
                ),
                ("maintenance", models.CharField(default="EXCLUDE", max_length=20)),
                (
                    "show_uptime",
                    models.BooleanField(default=True, help_text="Show 90 days, and the figures."),
                ),
                (
                    "show_outages",
                    models.BooleanField(
                        default=True,
                        help_text="Show outages by themselves, in general words, before anybody publishes one.",
                    ),
                ),
            ],
            options={
                "verbose_name": "status page",
                "db_table": "status_page",
                "ordering": ("name",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("visibility__in", ["OFF", "KEY", "PUBLIC"])),
                        name="status_page_visibility_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("maintenance__in", ["EXCLUDE", "COUNT_UP", "COUNT_AS_IS"])
                        ),
                        name="status_page_maintenance_check",
                    ),
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("name"),
                        name="status_page_name_key",
                        violation_error_message="A status page with this name exists (names ignore case).",
                    ),
                ],
            },
        ),
    ]
