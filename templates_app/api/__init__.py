"""REST of script templates."""
