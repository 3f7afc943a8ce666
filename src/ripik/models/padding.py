"""The arithmetic of `same` padding."""


def same_margins(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many zeros `same` padding puts before and after `size` pixels."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
