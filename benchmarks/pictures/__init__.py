"""The pictures of the README, made from a run of the demo."""
