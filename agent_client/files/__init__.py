"""Files as tasks: the program that a sub-agent runs in place of a script, and its parts.

Owns the move of one file between this host and the server: below the directories that the
host's policy allows, in chunks that are checked, resumed and paced. Runs as a process of its
own (`python -m agent_client.files`), so its life, log, cancel and limits are those of any
task. Never leaves a partial file under its name, and never follows a link.
"""
