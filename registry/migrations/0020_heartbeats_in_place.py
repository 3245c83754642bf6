from django.db import migrations, models


def leave_room(apps, schema_editor):
    _set(schema_editor, "SET (fillfactor = 60)")


def leave_none(apps, schema_editor):
    _set(schema_editor, "RESET (fillfactor)")


def _set(schema_editor, parameters):
    # PostgreSQL writes the new version of a row into its page, where there is room.
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE service_instance {parameters}")


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0019_services_by_name"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="serviceinstance", name="instance_status_beat_idx"),
        migrations.RemoveIndex(model_name="serviceinstance", name="instance_expiry_idx"),
        migrations.AddIndex(
            model_name="serviceinstance",
            index=models.Index(fields=["status"], name="instance_status_idx"),
        ),
        migrations.RunPython(leave_room, leave_none),
    ]
