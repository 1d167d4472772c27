"""All writes of accounts: users, tenants, tokens and the audit trail."""
