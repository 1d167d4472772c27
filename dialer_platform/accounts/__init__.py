"""Users, tenants, memberships, API tokens and the audit trail."""
