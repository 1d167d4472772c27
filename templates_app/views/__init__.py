"""Pages of templates: list, new, edit, delete."""
