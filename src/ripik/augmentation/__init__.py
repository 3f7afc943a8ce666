"""The 14 transforms of the source, and the copies that they make."""
