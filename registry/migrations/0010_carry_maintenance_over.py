"""Maintenance of a service was the status of all its instances; it becomes its own."""

from django.db import migrations
from django.db.models import F, Q

MAINTENANCE = "MAINTENANCE"


def carry_over(apps, _):
    """Services in MAINTENANCE are so themselves, and the next sign of life says how their
    instances are. Single instances among others stay as they are."""
    services = apps.get_model("registry", "Service").objects
    instances = apps.get_model("registry", "ServiceInstance").objects.filter(status=MAINTENANCE)
    services.filter(status=MAINTENANCE).update(maintenance_since=F("updated_at"))
    instances.filter(service__maintenance_since__isnull=False).update(status="UNKNOWN")
    instances.filter(status=MAINTENANCE).update(maintenance_since=F("updated_at"))


def put_back(apps, _):
    """All instances of a service under maintenance are in MAINTENANCE."""
    rows = apps.get_model("registry", "ServiceInstance").objects
    rows.filter(Q(service__maintenance_since__isnull=False)).update(status=MAINTENANCE)


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0009_service_maintenance"),
    ]

    operations = [
        migrations.RunPython(carry_over, put_back),
    ]
