"""Tune a variant's hyperparameters, and correct the best trial's score for the selection."""
