"""Results on their way into the database: judged, counted once, stored in groups."""
