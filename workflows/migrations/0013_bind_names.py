from django.db import migrations
from django.db.models.functions import Lower

KINDS = ("service", "connection", "integration", "workflow")


def callers(steps):
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, dict):
            continue
        yield step
        if isinstance(step.get("compensate"), dict):
            yield step["compensate"]
        yield from callers(step.get("steps"))
        branches = step.get("branches")
        for branch in branches if isinstance(branches, list) else ():
            yield from callers(branch)


def bind_names(apps, _):
    """Note for each definition which rows its names stand for now."""
    models = {
        "service": apps.get_model("registry", "Service"),
        "connection": apps.get_model("registry", "Connection"),
        "integration": apps.get_model("registry", "Integration"),
        "workflow": apps.get_model("workflows", "Workflow"),
    }
    known = {}
    for kind, model in models.items():
        rows = model.objects.values_list(Lower("name"), "pk")
        known[kind] = {name: str(key) for name, key in rows}
        known[kind] |= {key: key for key in known[kind].values()}
    for version in apps.get_model("workflows", "WorkflowVersion").objects.iterator(chunk_size=100):
        bindings = {}
        for caller in callers(version.steps):
            for kind in KINDS:
                name = caller.get(kind)
                key = known[kind].get(name.strip().lower()) if isinstance(name, str) else None
                if key:
                    bindings.setdefault(kind, {})[name.strip().lower()] = key
        if bindings:
            version.bindings = bindings
            version.save(update_fields=("bindings",))


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0007_integration"),
        ("workflows", "0012_bindings"),
    ]

    operations = [migrations.RunPython(bind_names, migrations.RunPython.noop, elidable=True)]
