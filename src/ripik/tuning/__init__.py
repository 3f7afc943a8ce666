"""Search for a variant's settings, and tell what the best of many trials is worth."""
