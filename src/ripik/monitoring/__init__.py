"""How long a run will take, and how it stands."""
