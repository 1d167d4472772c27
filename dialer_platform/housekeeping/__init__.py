"""Periodic work of the installation: apps register jobs, one process runs them.

A job is a plain function without arguments that does one bounded piece of work and may be
called at any time, twice or late. Apps register theirs in `AppConfig.ready()`.
"""

from dialer_platform.housekeeping.jobs import Job, jobs, register

__all__ = ["Job", "jobs", "register"]
