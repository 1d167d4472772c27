"""What starting an installation needs: its directory, its first administrator, its local agent."""
