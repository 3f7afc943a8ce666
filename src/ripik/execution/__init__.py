"""Processes of a run: tasks, where they run, their threads, locks, signals, progress and time limit."""
