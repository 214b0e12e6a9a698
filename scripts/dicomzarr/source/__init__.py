"""Read-only access to the source folder: listing, inventory, and opening its files."""
