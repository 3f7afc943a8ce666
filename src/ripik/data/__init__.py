"""The organiser's files: fetched, read, checked; and the demo's, which are drawn."""
