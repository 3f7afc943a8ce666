"""Inspect a folder of unknown layout, and write a configuration for it: the step `new`."""
