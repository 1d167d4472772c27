#!/usr/bin/env python
"""Django's entry point: `python manage.py COMMAND`."""

import os
import sys

from dialer_platform.launch import options


def main() -> None:
    """Run one management command; settings that cannot be used end it with one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dialer_platform.settings")
    if sys.argv[1:2] == ["serve"]:
        options.take_address(sys.argv[2:], os.environ)
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"manage.py: {error}")
    except OSError as error:
        if settings.configured:
            raise
        # The settings make the data directory; nothing else of them touches the disk.
        remedy = "Name a directory that can be written in DIALER_DATA_DIR."
        sys.exit(f"manage.py: {error.filename}: {error.strerror}. {remedy}")


if __name__ == "__main__":
    main()
