"""How long a run will take, and its state."""
