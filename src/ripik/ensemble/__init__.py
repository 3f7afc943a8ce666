"""Blend the variants, decide, write the submission; predict new photos."""
