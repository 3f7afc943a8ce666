"""Our own parts by themselves; each a script that prints one line of JSON."""
