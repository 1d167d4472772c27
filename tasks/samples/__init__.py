"""What running tasks use, over time: one bounded file of samples beside each log."""
