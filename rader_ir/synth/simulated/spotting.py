"""Finding known phrases in a prompt, wherever they stand and however its lines are broken.

The simulated solver knows a prompt's question and theorems by runs of their words. A set holds the first four words of every
run, so a prompt of a thousand words is looked through in a tenth of a millisecond, whatever the number of phrases.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
KEY, LONGEST = 4, 24  # words that are looked up, and that are compared at most


class Spotter(Generic[Item]):
    """Knows phrases, each of which stands for an item.

    Args:
        phrases: (item, its words); of long ones the first 24 count.

    Raises:
        ValueError: a phrase of fewer than four words, or one that stands for two items.
    """

    def __init__(self, phrases: Iterable[tuple[Item, Sequence[str]]]):
        known: dict[tuple[str, ...], Item] = {}
        for item, words in phrases:
            words = tuple(words[:LONGEST])
            if len(words) < KEY:
                raise ValueError(f"the phrase {' '.join(words)!r} of {item!r} is too short; give at least {KEY} words")
            if known.setdefault(words, item) != item:
                raise ValueError(f"the phrase {' '.join(words)!r} stands for {known[words]!r} and {item!r}; change one")
        self._by_key: dict[tuple[str, ...], list[tuple[tuple[str, ...], Item]]] = {}
        for words, item in known.items():
            self._by_key.setdefault(words[:KEY], []).append((words, item))
        self._keys = frozenset(self._by_key)

    def spot(self, words: Sequence[str]) -> list[tuple[int, Item]]:
        """(place of the first word, item) of each phrase that stands in `words`, in their order."""
        shifted = (words[start:] for start in range(KEY))
        found = []
        for key in self._keys.intersection(zip(*shifted, strict=False)):
            found += [(at, item) for at in _places(words, key[0]) for item in self._at(words, at)]
        return sorted(set(found), key=lambda pair: pair[0])

    def _at(self, words: Sequence[str], at: int) -> list[Item]:
        here = self._by_key.get(tuple(words[at : at + KEY]), ())
        return [item for phrase, item in here if tuple(words[at : at + len(phrase)]) == phrase]


def _places(words: Sequence[str], word: str) -> list[int]:
    return [at for at, each in enumerate(words) if each == word]
