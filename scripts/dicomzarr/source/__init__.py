"""The source folder, read only: listing, inventory, opening and reading its files."""
