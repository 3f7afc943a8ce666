"""Near copies, groups and folds."""
