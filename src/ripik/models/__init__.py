"""Networks, without a run."""
