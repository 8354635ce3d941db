"""Engines small enough to follow by hand: an encoder that hashes words, and a reranker that counts shared ones.

They keep the protocols of `rader_ir.Encoder` and of a reranker, load nothing, and count what they are asked, so that tests can
say what a transformer should give and how often it may ask.
"""

import re
from zlib import crc32

import numpy as np

DIMENSION = 64


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


class WordEncoder:
    """A text's vector counts its words by hash and has unit length; an instruction's words count too."""

    def __init__(self, name: str = "words", dimension: int = DIMENSION):
        self.name, self.dimension = name, dimension
        self.asked: list[str] = []

    def encode_queries(self, texts, instructions=None):
        instructions = instructions or [""] * len(texts)
        return self._vectors([f"{i} {t}" for i, t in zip(instructions, texts, strict=True)])

    def encode_docs(self, texts):
        return self._vectors(texts)

    def passages(self, texts, length, stride=None):
        """Passages of `length` words, each beginning `stride` words after the last."""
        split = [words(text) for text in texts]
        return [
            [
                " ".join(w[i : i + length])
                for i in range(0, max(1, len(w) - length + (stride or length)), stride or length)
            ]
            for w in split
        ]

    def describe(self):
        return {"checkpoint": self.name, "dimension": self.dimension}

    def fingerprint(self):
        return self.name

    def unload(self):
        self.asked.clear()

    def _vectors(self, texts):
        self.asked += texts
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in words(text):
                row[crc32(word.encode()) % self.dimension] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


class WordOverlap:
    """A document's score is the number of distinct words that it shares with the query."""

    def __init__(self, name: str = "overlap"):
        self.name = name
        self.pairs: list[tuple[str, str]] = []
        self.unloaded = 0

    def score(self, queries, docs):
        assert len(queries) == len(docs)
        self.pairs += [(query, doc) for query, texts in zip(queries, docs, strict=True) for doc in texts]
        return [
            np.array([len(set(words(query)) & set(words(doc))) for doc in texts], dtype=np.float32)
            for query, texts in zip(queries, docs, strict=True)
        ]

    def fingerprint(self):
        return self.name

    def unload(self):
        self.unloaded += 1


class WordReader:
    """As `WordOverlap`, of a document's half that shares more words with the query, which is its only snippet."""

    truncated = 0

    def read(self, queries, docs):
        from types import SimpleNamespace

        found = []
        for query, texts in zip(queries, docs, strict=True):
            found.append([])
            for text in texts:
                half = len(text) // 2
                shared = {part: len(set(words(query)) & set(words(part))) for part in (text[:half], text[half:])}
                best = max(shared, key=shared.get)
                found[-1].append(SimpleNamespace(score=float(shared[best]), snippets=(best,)))
        return found

    def fingerprint(self):
        return "reader"

    def unload(self):
        pass
