"""Which images show the same photo."""
