"""Where a run's files are, and whether they are complete."""
