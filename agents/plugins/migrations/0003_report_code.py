"""Keeps why a plug-in does not run, in the word of the catalogue."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agent_plugins", "0002_metric_descriptions")]

    operations = [
        migrations.AddField(
            model_name="pluginreport",
            name="code",
            field=models.CharField(blank=True, max_length=40, verbose_name="code"),
        ),
    ]
