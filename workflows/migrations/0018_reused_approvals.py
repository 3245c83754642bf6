from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workflows", "0017_retired_versions")]

    operations = [
        migrations.AddField(
            model_name="workflowexecution",
            name="approvals_reused",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
