"""The host agent of Dialer Platform: runs tasks, ships logs, reports to the server.

Stands alone: imports neither Django nor any package of the server.
"""

__version__ = "0.1.0"
