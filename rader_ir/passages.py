"""Passages: overlapping windows over a text's tokens that reach its end.

Windows count the tokens of the model that reads them, so none is cut again by its maximum length. A long document is by
custom scored by its best passage (MaxP; Dai and Callan, arXiv:1905.09217), so a tail that no window held would be lost.
"""


def windows(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """(begin, end) of each window of `size` over `length` tokens, one every `stride`, the last as short as the tail.

    Every token lies in a window, and no window lies within another. 0 tokens make no window.

    >>> windows(10, size=4, stride=3)
    [(0, 4), (3, 7), (6, 10)]
    >>> windows(9, size=4, stride=4)
    [(0, 4), (4, 8), (8, 9)]

    Raises:
        ValueError: a negative length, or windows that would be empty or leave gaps.
    """
    if length < 0:
        raise ValueError(f"a length of {length} tokens; expected 0 or more")
    if not 1 <= stride <= size:
        raise ValueError(f"windows of {size} tokens every {stride} leave gaps or are empty; give size >= stride >= 1")
    if length == 0:
        return []
    return [(begin, min(begin + size, length)) for begin in range(0, max(length - size, 0) + stride, stride)]
