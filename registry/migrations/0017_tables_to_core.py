"""Leave three tables to the kernel, which holds them as they are."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0001_tables_of_the_registry"),
        ("registry", "0016_audit_verbs_in_use"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.DeleteModel(name="ApiKey"),
                migrations.DeleteModel(name="AuditEntry"),
                migrations.DeleteModel(name="IdempotencyRecord"),
            ]
        ),
    ]
