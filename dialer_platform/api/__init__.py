"""What every REST endpoint shares: errors, pages, permissions, schema."""
