from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0005_what_keys_may_register"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="auditentry",
            name="audit_entry_verb_check",
        ),
        migrations.AddConstraint(
            model_name="auditentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "verb__in",
                        [
                            "CREATED",
                            "CHANGED",
                            "DELETED",
                            "STATUS_SET",
                            "MAINTENANCE_STARTED",
                            "MAINTENANCE_ENDED",
                            "FORCED_OPEN",
                            "CLOSED",
                            "RESET",
                            "ENABLED",
                            "DISABLED",
                            "ROTATED",
                            "REVOKED",
                            "PASSWORD_SET",
                            "ACTIVATED",
                            "RETIRED",
                            "REINSTATED",
                            "STARTED",
                            "CALLED",
                            "TESTED",
                            "CANCELLED",
                            "PAUSED",
                            "RESUMED",
                            "RETRIED",
                            "RERUN",
                            "SIGNALLED",
                            "APPROVED",
                            "REJECTED",
                            "COMPLETED",
                            "FAILED",
                            "BACKFILLED",
                            "ACKNOWLEDGED",
                            "RESOLVED",
                            "EXPIRED",
                            "KEPT",
                            "LOGIN_DELAYED",
                        ],
                    )
                ),
                name="audit_entry_verb_check",
            ),
        ),
    ]
