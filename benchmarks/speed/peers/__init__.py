"""The others, written plainly, as their users write them; each a script that prints one line of JSON."""
