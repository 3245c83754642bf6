from django.db import migrations

from workflows.history import guard_history, unguard_history


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0006_retention_and_bulk_operations"),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, editor: guard_history(editor.connection),
            lambda apps, editor: unguard_history(editor.connection),
        ),
    ]
