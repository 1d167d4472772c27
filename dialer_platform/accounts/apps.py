"""App configuration: Users, tenants, memberships, API tokens and the audit trail."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, tenants, memberships, API tokens and the audit trail."""

    name = "dialer_platform.accounts"
    label = "accounts"
    verbose_name = "Accounts"
