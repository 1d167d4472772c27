"""Pages of accounts: sign in, sign out, choose a tenant."""
