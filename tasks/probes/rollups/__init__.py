"""Results added up per minute, hour and day: pure sums, and their place in the database."""
