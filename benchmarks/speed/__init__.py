"""What is fast: ours and peers, side by side."""
