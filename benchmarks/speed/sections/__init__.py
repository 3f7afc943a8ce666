"""The sections of `make bench`; each is a function of a `Bench` that adds rows to its results."""
