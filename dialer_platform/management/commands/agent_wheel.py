"""`manage.py agent_wheel FOLDER`: the agent's wheel as a file, for hosts without this server."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.distribution.releases import publish
from agents.distribution.wheel import PACKAGE, SourcesUnusable, build_wheel


class Command(BaseCommand):
    """Builds the wheel and prints its digest and path, as sha256sum does."""

    help = "Build the wheel of the agent into a folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the folder."""
        parser.add_argument("folder", type=Path, help="where the wheel goes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Build; raises CommandError when the sources or the folder cannot be used."""
        try:
            release = publish(build_wheel(settings.BASE_DIR / PACKAGE), options["folder"])
        except (SourcesUnusable, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{release.sha256}  {release.path}")
