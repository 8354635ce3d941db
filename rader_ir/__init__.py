"""Reasoning-aware retrieval: the engine that every door (PyTerrier, Pyserini, the command line) opens.

RaDeR (arXiv:2505.18405) trains dense retrievers and rerankers on data from a retrieval-augmented tree search. This
package reads texts, runs and checkpoints, encodes, indexes, retrieves, reranks, fuses and measures; it knows nothing of
PyTerrier, Pyserini or Java. Public names open lazily (PEP 562), so that importing the package loads no model library.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "BM25": "bm25",
    "Checkpoint": "checkpoints",
    "CrossEncoder": "cross_encoder",
    "Encoder": "encoder",
    "Example": "examples",
    "Index": "index",
    "Passage": "examples",
    "build_index": "index_writer",
    "checkpoint_path": "weights",
    "evaluate": "evaluation",
    "find_checkpoint": "checkpoints",
    "interpolate": "fusion",
    "mine": "mining",
    "open_reranker": "rerank",
    "read_documents": "corpus",
    "read_examples": "examples",
    "read_qrels": "runs",
    "read_queries": "corpus",
    "read_run": "runs",
    "read_tevatron": "tevatron",
    "reciprocal_rank": "fusion",
    "write_examples": "examples",
    "write_run": "runs",
    "write_tevatron": "tevatron",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its public names are {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
