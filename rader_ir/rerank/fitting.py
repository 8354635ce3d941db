"""Making a prompt over passages fit a context: all of them are cut to the same number of pieces, the largest that fits.

Where a back-end counts tokens, as those in this process do, its count decides. Elsewhere 3.5 bytes are taken for a token: English
has 4 to 5, formulas and code about 3, so that a prompt may still be refused, which costs little; it is asked again with less.
"""

from collections.abc import Callable, Sequence
from typing import Any

from rader_ir.neutral import pieces, shortened

Build = Callable[[str, Sequence[str]], list[dict[str, str]]]
LEAST = 8  # pieces of a passage below which the query is cut before
_BYTES_OF_TWO_TOKENS, _TOKENS_OF_A_MESSAGE = 7, 8


def counter(backend: Any) -> Callable[[list[dict[str, str]]], int]:
    """How many tokens messages are: by the back-end's own count, else estimated."""
    return getattr(backend, "count", None) or _estimate


def _estimate(messages: list[dict[str, str]]) -> int:
    sizes = (len(message["content"].encode()) for message in messages)
    return sum(_TOKENS_OF_A_MESSAGE - -2 * size // _BYTES_OF_TWO_TOKENS for size in sizes)


def fitted(build: Build, query: str, passages: Sequence[str], fits: Callable[[list], bool]) -> tuple[str, list[str]]:
    """Query and passages as whole as `fits(build(query, passages))` allows.

    Passages are cut first, all to the same number of pieces but not below `LEAST`; then the query. What still does not fit then
    is left to the model to refuse.
    """
    if fits(build(query, passages)):
        return query, list(passages)

    def cut(size: int) -> list[str]:
        return [shortened(passage, size) for passage in passages]

    longest = max(map(pieces, passages), default=0)
    if longest > LEAST:
        size = _largest(LEAST, longest, lambda size: fits(build(query, cut(size))))
        if size is not None:
            return query, cut(size)
    least = cut(LEAST)
    size = _largest(LEAST, pieces(query), lambda size: fits(build(shortened(query, size), least)))
    return shortened(query, LEAST if size is None else size), least


def _largest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """The largest size in [low, high) that fits, by halving; None if not even `low` does."""
    if not fits(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
