"""What `make bench` runs: ours and peers, side by side."""
