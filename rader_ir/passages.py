"""Passages: windows over a text's tokens that cover it to its end.

Long documents are scored by their best window; a text's tail belongs to the last window, even where it does not fill one.
"""


def windows(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Begin and end (exclusive) of each window of at most `size` tokens over `length` tokens, one every `stride`.

    >>> windows(10, 4, 3)
    [(0, 4), (3, 7), (6, 10)]
    >>> windows(0, 4, 3)
    []

    Raises:
        ValueError: windows that would be empty or leave gaps.
    """
    if not 1 <= stride <= size:
        raise ValueError(f"windows of {size} tokens every {stride} leave gaps or are empty; give size >= stride >= 1")
    found, start = [], 0
    while length and (not found or found[-1][1] < length):
        found.append((start, min(start + size, length)))
        start += stride
    return found
