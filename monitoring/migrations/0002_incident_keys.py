"""Incidents of many subjects at once: each is known by its key."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F

OLD_SUBJECTS = ("MASS_EXPIRY", "DISCOVERY_BACKEND")


def name_keys(apps, schema_editor):
    apps.get_model("monitoring", "Incident").objects.update(dedup_key=F("subject"))


def forget_new_subjects(apps, schema_editor):
    incidents = apps.get_model("monitoring", "Incident").objects
    incidents.exclude(subject__in=OLD_SUBJECTS).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0001_incident"),
        ("registry", "0020_heartbeats_in_place"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="incident",
            name="incident_subject_check",
        ),
        migrations.RemoveConstraint(
            model_name="incident",
            name="incident_one_unresolved_key",
        ),
        migrations.AddField(
            model_name="incident",
            name="about",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="incident",
            name="dedup_key",
            field=models.CharField(db_default="", max_length=300),
        ),
        migrations.AddField(
            model_name="incident",
            name="reopened_count",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="incident",
            name="service",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="incidents",
                to="registry.service",
            ),
        ),
        migrations.RunPython(name_keys, forget_new_subjects),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["dedup_key", "resolved_at"], name="incident_key_idx"),
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
                        ],
                    )
                ),
                name="incident_subject_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="incident",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("OPEN", "ACKNOWLEDGED"))),
                fields=("dedup_key",),
                name="incident_one_unresolved_key",
            ),
        ),
    ]
