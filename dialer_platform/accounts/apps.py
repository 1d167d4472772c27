"""App configuration: Users, tenants, memberships, API tokens and the audit trail."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Users, tenants, memberships, API tokens and the audit trail."""

    name = "dialer_platform.accounts"
    label = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        """Record signing in and out, and clean up after guessing."""
        from dialer_platform import housekeeping
        from dialer_platform.accounts import signals
        from dialer_platform.accounts.services import attempts, sessions

        signals.connect()
        housekeeping.register("login attempts", 3600, attempts.forget_old)
        housekeeping.register("expired sessions", 3600, sessions.forget_expired)
