"""Benchmarks of the real path: HTTP API, server, agent, sub-agent, log and state in the store.

`python -m bench` starts a server and agents of its own in a temporary directory, measures,
prints one table with the machine's own limits beside it, and ends what it started.
"""
