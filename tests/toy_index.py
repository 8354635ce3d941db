"""Material for index tests: vectors that follow from a text alone, an encoder that makes them, and folders as bytes.

Imports no model library, so that a process of it starts fast and can be killed at leisure.
"""

from hashlib import shake_128
from pathlib import Path

import numpy as np

MADE_BY = {"checkpoint": "toy", "pooling": "none"}


def vector(text: str, dimension: int) -> np.ndarray:
    """Unit float32 vector that only depends on the text."""
    raw = np.frombuffer(shake_128(text.encode()).digest(2 * dimension), "<i2").astype(np.float32)
    return raw / np.linalg.norm(raw)


class Toy:
    """An encoder by `vector`. `batchy` adds what the batch looked like, as rounding does in a real one, but plainly."""

    def __init__(self, dimension: int = 12, *, batchy: bool = False, **described):
        self.dimension, self.batchy, self.described = dimension, batchy, {**MADE_BY, **described}
        self.encoded: list[str] = []

    def encode_docs(self, texts) -> np.ndarray:
        self.encoded += texts
        vectors = np.stack([vector(text, self.dimension) for text in texts])
        return vectors + vector("\n".join(texts), self.dimension) if self.batchy else vectors

    def encode_queries(self, texts, instructions=None) -> np.ndarray:
        whole = texts if instructions is None else [f"{i} {text}" for i, text in zip(instructions, texts, strict=True)]
        return np.stack([vector(text, self.dimension) for text in whole])

    def describe(self) -> dict:
        return dict(self.described)


def documents(count: int, start: int = 0) -> list[tuple[str, str]]:
    """(doc_id, text) pairs; the ids differ in length and one in nine is not ASCII."""
    return [(f"d{'é' * (n % 9 == 0)}{n * n}", f"text number {n}") for n in range(start, start + count)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cut_after(stream, count: int):
    """The stream's first items, then what a user's Ctrl-C does."""
    for number, item in enumerate(stream):
        if number == count:
            raise KeyboardInterrupt
        yield item
