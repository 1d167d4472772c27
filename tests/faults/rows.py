"""The rows of the table of faults; a test says its row by `pytest.mark.row`."""

from __future__ import annotations

KILLS = "kill -9 of main agent, agent with zygote, sub-agents"
SERVICES = "kill -9 of server, housekeeping, database connection; PostgreSQL, Redis restarted"
NETWORK = "network cut, half-open, one-way, 20 % loss, duplicated, delayed"
CALLS = "n-th write, fsync, rename, open ... fails, or the process is killed there"
POWER = "power cut of the agent's and the server's disk"
DISKS = "disk full, out of inodes, read-only"
CLOCK = "wall clock +- 1 h, +- 10 y"
CANCEL = "cancel against finish, cancel of trees"
IDENTITY = "host restarted, pids used again"
VANISHED = "host stopped for longer than its tasks wait"
CROWD = "hosts that come back all at once"
SOAK = "soak: memory, descriptors, threads, dead processes"
