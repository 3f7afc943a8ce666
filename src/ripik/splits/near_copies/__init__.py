"""Which images show one and the same photo."""
