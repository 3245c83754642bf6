from django.db import migrations, models


def forget_pending(apps, schema_editor):
    """Give what waits the status that there was for it before."""
    for name in ("Service", "RegistryChange"):
        apps.get_model("registry", name).objects.filter(status="PENDING").update(status="UNKNOWN")


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0021_service_alias"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="registrychange",
            name="registry_change_status_check",
        ),
        migrations.RemoveConstraint(
            model_name="service",
            name="registered_service_status_check",
        ),
        migrations.RemoveConstraint(
            model_name="serviceinstance",
            name="service_instance_status_check",
        ),
        migrations.AddField(
            model_name="service",
            name="acceptance",
            field=models.CharField(
                db_default="ACCEPTED", default="ACCEPTED", editable=False, max_length=20
            ),
        ),
        migrations.AddConstraint(
            model_name="registrychange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        ["ONLINE", "DEGRADED", "OFFLINE", "MAINTENANCE", "UNKNOWN", "PENDING"],
                    )
                ),
                name="registry_change_status_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="service",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        ["ONLINE", "DEGRADED", "OFFLINE", "MAINTENANCE", "UNKNOWN", "PENDING"],
                    )
                ),
                name="registered_service_status_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="service",
            constraint=models.CheckConstraint(
                condition=models.Q(("acceptance__in", ["ACCEPTED", "PENDING", "REFUSED"])),
                name="registered_service_acceptance_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="serviceinstance",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        ["ONLINE", "DEGRADED", "OFFLINE", "MAINTENANCE", "UNKNOWN", "PENDING"],
                    )
                ),
                name="service_instance_status_check",
            ),
        ),
        migrations.RunPython(migrations.RunPython.noop, forget_pending),
    ]
