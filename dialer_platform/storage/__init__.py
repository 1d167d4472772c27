"""How this server writes: one fair write lock per process, immediate transactions."""

from dialer_platform.storage.transactions import write_transaction

__all__ = ["write_transaction"]
