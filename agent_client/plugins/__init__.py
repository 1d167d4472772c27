"""Plug-ins: processes beside the agent that measure something, and what keeps them in order.

A plug-in speaks JSON lines on its standard streams (docs/adding-a-plugin.md). The agent
starts, configures, asks, restarts and ends it; nothing a plug-in does can hold the agent up.
"""
