"""A thousand candidates for one query, every tenth of them a text that stands among them already, reranked into a file."""

from pathlib import Path

import numpy as np

from rader_ir.rerank_file import rerank_file
from rader_ir.runs import read_run

COUNT, DIFFERENT = 1000, 900
WORDS = ("law", "large", "sample", "average", "value", "domain", "field", "graph", "odd", "cycle")


def candidates() -> list[str]:
    """Short texts, of which the last hundred are those at places 0, 9, 18, ..."""
    texts = [" ".join(WORDS[int(digit)] for digit in f"{number:03}") for number in range(DIFFERENT)]
    return texts + texts[:: DIFFERENT // (COUNT - DIFFERENT)]


def reranked(reranker, folder: Path, *, query: str = "what is the law of large numbers?", texts=None) -> np.ndarray:
    """The scores in the new run, one for each candidate; all are there, and equal texts have equal ones but for rounding."""
    texts = texts or candidates()
    run = {"q": {f"d{place}": float(COUNT - place) for place in range(COUNT)}}
    documents = ((f"d{place}", text) for place, text in enumerate(texts))
    rerank_file(run, {"q": query}, documents, reranker, folder / "new.trec", depth=COUNT)
    found = read_run(folder / "new.trec")["q"]
    assert len(found) == COUNT and found.keys() == run["q"].keys()
    scores = np.array([found[f"d{place}"] for place in range(COUNT)])
    first = [texts.index(text) for text in texts[DIFFERENT:]]
    np.testing.assert_allclose(scores[DIFFERENT:], scores[first], atol=2e-4, rtol=0)
    assert np.ptp(scores) > 0.01
    return scores
