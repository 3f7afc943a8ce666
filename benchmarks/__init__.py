"""What measures the project: its speed, the truth of its figures, the fidelity of its copies (see README.md)."""
