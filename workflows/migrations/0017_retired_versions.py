from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workflows", "0016_callers_of_keys")]

    operations = [
        migrations.AddField(
            model_name="workflowversion",
            name="retired_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="workflowversion",
            name="retired_by",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=150
            ),
        ),
        migrations.AddField(
            model_name="workflowversion",
            name="retired_reason",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=500
            ),
        ),
    ]
