"""System checks: wrong settings stop the start with a remedy instead of failing later."""
