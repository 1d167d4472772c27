"""The web server of this process: limits below the application, one loop, a clean end.

Nothing else in the project knows which server it is.
"""

from dialer_platform.serving.server import WebServer

__all__ = ["WebServer"]
