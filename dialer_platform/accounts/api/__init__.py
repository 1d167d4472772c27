"""REST of accounts: a person's own API tokens."""
