from django.db import migrations, models


def leave_one_of_each_key(apps, schema_editor):
    """Take keys away that several callers used for one workflow, but for the first of each."""
    executions = apps.get_model("workflows", "WorkflowExecution").objects
    keyed = executions.filter(idempotency_key__isnull=False).order_by("created_at", "id")
    seen, later = set(), []
    for pk, *key in keyed.values_list("pk", "workflow_id", "idempotency_key").iterator():
        if tuple(key) in seen:
            later.append(pk)
        seen.add(tuple(key))
    for start in range(0, len(later), 500):
        executions.filter(pk__in=later[start : start + 500]).update(idempotency_key=None)


class Migration(migrations.Migration):
    dependencies = [("workflows", "0015_limit_of_metadata")]

    operations = [
        migrations.RemoveConstraint(
            model_name="workflowexecution", name="workflow_execution_idempotency_key"
        ),
        migrations.RunPython(migrations.RunPython.noop, leave_one_of_each_key),
        migrations.AddField(
            model_name="workflowexecution",
            name="idempotency_caller",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=200
            ),
        ),
        migrations.AddField(
            model_name="workflowexecution",
            name="idempotency_digest",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=64
            ),
        ),
        migrations.AddConstraint(
            model_name="workflowexecution",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("workflow", "idempotency_key", "idempotency_caller"),
                name="workflow_execution_caller_key",
            ),
        ),
    ]
