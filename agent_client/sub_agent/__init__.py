"""The process beside every task: zygote, sub-agent and what they share with the main agent.

Owns the life of one script: start, output, stop, end record. Standard library only (and
the log frames), so that it starts in about a millisecond from the zygote and can be read
in ten minutes. Never talks to the network.
"""
