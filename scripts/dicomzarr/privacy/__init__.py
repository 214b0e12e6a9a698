"""Pseudonyms, and the search for identifiers outside the private folder."""
