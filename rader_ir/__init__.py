"""Reasoning-aware retrieval: the engine that every door (PyTerrier, Pyserini, the command line) opens.

RaDeR (arXiv:2505.18405) trains dense retrievers and rerankers on data from a retrieval-augmented tree search. This
package reads texts, runs and checkpoints, encodes, indexes, retrieves, reranks, fuses and measures; it knows nothing of
PyTerrier, Pyserini or Java. Public names open lazily (PEP 562), so that importing the package loads no model library.
"""

from rader_ir.lazy import lazily

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
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
    },
)
