"""BM25 written out from its definition, with numpy alone: the oracle of tests on real texts.

A term weighs idf * tf / (tf + k1 (1 - b + b len / mean)), idf = ln(1 + (N - df + .5) / (df + .5)), in a document. `bright`
weighs the terms of a query in the same way, its length without unknown terms; `lucene` counts them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

import numpy as np

K1, B = 0.9, 0.4


def stored_length(length: int) -> int:
    """A document's length as Lucene keeps it in one byte: exact below 24, from there on with four significant bits."""
    if length < 24:
        return length
    lost = max((length - 24).bit_length() - 4, 0)
    return 24 + ((length - 24) >> lost << lost)


class Definition:
    """Scores of a collection of bags of terms.

    Args:
        bags: {doc_id: {term: count}}.
        kept: what is kept of a document's length; the mean is that of true lengths.
    """

    def __init__(self, bags: Mapping[str, Mapping[str, int]], kept: Callable[[int], int] = int):
        self.doc_ids = list(bags)
        lengths = [sum(bag.values()) for bag in bags.values()]
        self.mean = sum(lengths) / len(lengths)
        self.lengths = np.array([kept(length) for length in lengths], dtype=np.float64)
        places, counts = defaultdict(list), defaultdict(list)
        for place, bag in enumerate(bags.values()):
            for term, count in bag.items():
                places[term].append(place)
                counts[term].append(count)
        self.places = {term: np.array(each) for term, each in places.items()}
        self.counts = {term: np.array(each, dtype=np.float64) for term, each in counts.items()}

    def scores(self, query: Iterable[str], variant: str) -> dict[str, float]:
        """{doc_id: score} of every document that shares a term with the query."""
        terms = Counter(term for term in query if term in self.places)
        scores = np.zeros(len(self.doc_ids))
        for term, count in terms.items():
            factor = self._weight(term, count, terms.total()) if variant == "bright" else count
            places = self.places[term]
            scores[places] += factor * self._weight(term, self.counts[term], self.lengths[places])
        return {self.doc_ids[place]: float(scores[place]) for place in np.flatnonzero(scores)}

    def _weight(self, term, tf, length):
        df = len(self.places[term])
        idf = math.log(1 + (len(self.doc_ids) - df + 0.5) / (df + 0.5))
        return idf * tf / (tf + K1 * (1 - B + B * length / self.mean))
