"""Names must not read as an id: rows that are called so get another name, which is logged.

Definitions that refer to them by name follow. Going back keeps the new names.
"""

import hashlib

from django.db import migrations, models

import registry.models.names
from registry.identifiers import read_id
from registry.json_equality import canonical_json
from registry.migrations._renaming import rename, row_called_before

REFERENCES = {
    "service": ("registry", "Service"),
    "connection": ("registry", "Connection"),
    "integration": ("registry", "Integration"),
    "workflow": ("workflows", "Workflow"),
}


def rename_rows(apps, schema_editor):
    for kind, word in (
        ("Workflow", "workflow"), ("WorkflowSchedule", "schedule"), ("Webhook", "webhook"),
    ):  # fmt: skip
        rename(apps.get_model("workflows", kind), word)


def follow_names(apps, schema_editor):
    model = apps.get_model("workflows", "WorkflowVersion")
    for row in model.objects.iterator():
        bound = {kind: dict(names) for kind, names in row.bindings.items()}
        steps = followed(apps, row.steps, bound)
        if steps != row.steps:
            document = canonical_json({**row.options, "steps": steps})
            checksum = hashlib.sha256(document.encode()).hexdigest()
            model.objects.filter(pk=row.pk).update(steps=steps, checksum=checksum, bindings=bound)


def followed(apps, part, bound):
    """The part of a definition with the new names; what is really an id stays."""
    if isinstance(part, list):
        return [followed(apps, item, bound) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: name_now(apps, key, value, bound)
        if key in REFERENCES
        else followed(apps, value, bound)
        for key, value in part.items()
    }


def name_now(apps, kind, value, bound):
    if not isinstance(value, str) or (key := read_id(value)) is None:
        return followed(apps, value, bound)
    rows = apps.get_model(*REFERENCES[kind])
    new = row_called_before(rows, kind, value)
    if new is None or rows.objects.filter(pk=key).exists():
        return value
    bound.setdefault(kind, {})[new.name.lower()] = str(new.pk)
    return new.name


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0014_names_are_no_ids"),
        ("workflows", "0013_bind_names"),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhook",
            name="name",
            field=models.CharField(
                max_length=100, validators=[registry.models.names.validate_name]
            ),
        ),
        migrations.AlterField(
            model_name="workflow",
            name="name",
            field=models.CharField(
                max_length=100, validators=[registry.models.names.validate_name]
            ),
        ),
        migrations.AlterField(
            model_name="workflowschedule",
            name="name",
            field=models.CharField(
                max_length=100, validators=[registry.models.names.validate_name]
            ),
        ),
        migrations.RunPython(rename_rows, migrations.RunPython.noop),
        migrations.RunPython(follow_names, migrations.RunPython.noop),
    ]
