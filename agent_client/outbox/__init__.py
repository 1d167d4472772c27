"""Keeps small records on disk until the server has stored them: the results of dial tests.

State messages of script tasks never come here: they are rebuilt from task directories.
"""
