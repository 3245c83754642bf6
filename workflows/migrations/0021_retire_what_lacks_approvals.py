"""Versions that lack an approval of the active one are retired, and the trail says so.

What was saved before that was a rule did not follow it. What an operator reinstated stays as it is.
Going back reinstates what was retired here.
"""

from django.db import migrations
from django.utils import timezone

BY = "upgrade"
REASON = (
    "Retired by the upgrade: the active version asks for an approval that these do not ask for."
)


def approvals_in(steps):
    """Return the ids of the steps of a list that ask people, those inside other steps too."""
    found = set()
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, dict):
            continue
        kind = step.get("type")
        if isinstance(kind, str) and kind.strip().upper() == "APPROVAL":
            found.add(str(step.get("id")))
        found |= approvals_in(step.get("steps"))
        branches = step.get("branches")
        for branch in branches if isinstance(branches, list) else ():
            found |= approvals_in(branch)
    return found


def reinstated_of(apps, workflow):
    """Return the numbers of the versions of a workflow that an operator reinstated."""
    entries = apps.get_model("core", "AuditEntry").objects.filter(
        object_type="workflow", object_id=str(workflow.pk), verb="REINSTATED"
    )
    return {changes.get("version") for changes in entries.values_list("changes", flat=True)}


def retire_versions(apps, schema_editor):
    versions = apps.get_model("workflows", "WorkflowVersion").objects
    workflows = apps.get_model("workflows", "Workflow").objects.select_related("current_version")
    now = timezone.now()
    for workflow in workflows.filter(status="ACTIVE", current_version__number__gt=1).iterator(200):
        current = workflow.current_version
        asked = approvals_in(current.steps)
        if not asked:
            continue
        kept, retired = reinstated_of(apps, workflow), {}
        older = versions.filter(
            workflow=workflow, number__lt=current.number, retired_at__isnull=True
        )
        for version in older.order_by("number").iterator(200):
            missing = sorted(asked - approvals_in(version.steps))
            if missing and version.number not in kept:
                reason = f"Version {current.number} asks for the approval '{missing[0]}'."
                retired[str(version.number)] = reason
                versions.filter(pk=version.pk).update(
                    retired_at=now, retired_by=BY, retired_reason=reason, updated_at=now
                )
        if retired:
            _note(apps, workflow, retired)


def reinstate_versions(apps, schema_editor):
    versions = apps.get_model("workflows", "WorkflowVersion").objects
    versions.filter(retired_by=BY).update(retired_at=None, retired_by="", retired_reason="")


def _note(apps, workflow, versions):
    apps.get_model("core", "AuditEntry").objects.create(
        actor_kind="ANONYMOUS",
        actor=BY,
        verb="RETIRED",
        object_type="workflow",
        object_id=str(workflow.pk),
        object_name=workflow.name,
        reason=REASON,
        changes={"versions": versions},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0007_grant_verbs"),
        ("workflows", "0020_grant_what_is_used"),
    ]

    operations = [
        migrations.RunPython(retire_versions, reinstate_versions),
    ]
