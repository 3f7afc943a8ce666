"""A small generated competition."""
