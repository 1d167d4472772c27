"""Tables of people and permissions."""

from dialer_platform.accounts.models.attempts import LoginAttempts
from dialer_platform.accounts.models.audit import AuditEvent
from dialer_platform.accounts.models.tenant import Membership, Tenant
from dialer_platform.accounts.models.token import ApiToken
from dialer_platform.accounts.models.user import User

__all__ = ["ApiToken", "AuditEvent", "LoginAttempts", "Membership", "Tenant", "User"]
