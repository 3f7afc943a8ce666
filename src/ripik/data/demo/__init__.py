"""A small competition, drawn."""
