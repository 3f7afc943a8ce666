"""What networks read: pixels, and the stored outputs of frozen layers."""
