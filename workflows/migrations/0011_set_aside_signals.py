from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0010_webhook_old_credential"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="workflowevent",
            name="workflow_event_kind_check",
        ),
        migrations.AddConstraint(
            model_name="workflowevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "STARTED",
                            "COMPLETED",
                            "FAILED",
                            "CANCELLED",
                            "PAUSED",
                            "RESUMED",
                            "RETRIED",
                            "SIGNAL",
                            "SIGNAL_SET_ASIDE",
                            "APPROVED",
                            "REJECTED",
                            "STEP_COMPLETED",
                            "STEP_FAILED",
                            "NEEDS_REVIEW",
                            "COMPENSATING",
                        ],
                    )
                ),
                name="workflow_event_kind_check",
            ),
        ),
    ]
