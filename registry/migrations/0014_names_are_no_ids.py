"""Names must not read as an id: rows that are called so get another name, which is logged.

What refers to them by name follows. Going back keeps the new names.
"""

from django.db import migrations, models

import registry.models.names
from registry.migrations._renaming import rename


def rename_rows(apps, schema_editor):
    renamed = {
        kind: rename(apps.get_model("registry", kind), word)
        for kind, word in (
            ("Service", "service"),
            ("Connection", "connection"),
            ("Credential", "credential"),
            ("Integration", "integration"),
            ("ApiKey", "key"),
        )
    }
    integrations = apps.get_model("registry", "Integration").objects
    for old, new in renamed["Service"].items():
        integrations.filter(target_kind="SERVICE", target__iexact=old).update(target=new)
        integrations.filter(source__iexact=old).update(source=new)
    for old, new in renamed["ApiKey"].items():
        # What a key registered is its own, by its name.
        apps.get_model("registry", "Service").objects.filter(owner=old).update(owner=new)


class Migration(migrations.Migration):
    dependencies = [("registry", "0013_normal_addresses")]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="name",
            field=models.CharField(
                max_length=100, unique=True, validators=[registry.models.names.refuse_id]
            ),
        ),
        migrations.AlterField(
            model_name="connection",
            name="name",
            field=models.CharField(
                max_length=100, validators=[registry.models.names.validate_name]
            ),
        ),
        migrations.AlterField(
            model_name="credential",
            name="name",
            field=models.CharField(
                max_length=100, validators=[registry.models.names.validate_name]
            ),
        ),
        migrations.AlterField(
            model_name="integration",
            name="name",
            field=models.CharField(
                max_length=100, validators=[registry.models.names.validate_name]
            ),
        ),
        migrations.AlterField(
            model_name="integration",
            name="source",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The name of the service that asks.",
                max_length=100,
                validators=[registry.models.names.validate_name],
            ),
        ),
        migrations.AlterField(
            model_name="service",
            name="name",
            field=models.CharField(
                max_length=100, validators=[registry.models.names.validate_name]
            ),
        ),
        migrations.RunPython(rename_rows, migrations.RunPython.noop),
    ]
