"""Keeps what a plug-in says of its metrics beside how it is."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agent_plugins", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="pluginreport",
            name="metrics",
            field=models.JSONField(blank=True, default=dict, verbose_name="metrics"),
        ),
    ]
