"""Make the one tenant a single-person installation never sees."""

from django.db import migrations


def create_default_tenant(apps, schema_editor):
    """Insert the default tenant if it is absent."""
    apps.get_model("accounts", "Tenant").objects.get_or_create(
        id="default", defaults={"name": "Default"}
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunPython(create_default_tenant, migrations.RunPython.noop)]
