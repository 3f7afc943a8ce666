"""Where a run's files lie, and whether they are whole."""
