"""`manage.py doctor`: what is wrong with the installation and how to mend it."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from dialer_platform.launch.diagnosis import Finding, findings

NAME_COLUMN = 16


class Command(BaseCommand):
    """Prints one line per check; exits with 1 when something is broken."""

    help = "Say what is wrong with the installation and how to mend it."
    # The doctor must come even when the settings are ill.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings and a summary."""
        found = []
        for finding in findings():
            found.append(finding)
            self.stdout.write(self.line(finding))
        failures = sum(finding.level == "fail" for finding in found)
        warnings = sum(finding.level == "warn" for finding in found)
        self.stdout.write(f"{len(found)} checks, {failures} failures, {warnings} warnings")
        if failures:
            sys.exit(1)

    def line(self, finding: Finding) -> str:
        """Return level, name, text and, where something is to be done, the remedy."""
        styles = {"ok": self.style.SUCCESS, "warn": self.style.WARNING, "fail": self.style.ERROR}
        level = styles[finding.level](f"{finding.level:<4}")
        line = f"{level}  {finding.name:<{NAME_COLUMN}}  {finding.text}"
        if finding.level != "ok" and finding.remedy:
            line += f"\n{'':<{NAME_COLUMN + 8}}-> {finding.remedy}"
        return line
