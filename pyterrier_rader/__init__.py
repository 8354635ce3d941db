"""The PyTerrier door to rader_ir: transformers, indexes and frames for `pt.Experiment` and pipelines.

Every class is configuration and frames; models, indexes and their arithmetic live in `rader_ir`. Names open lazily
(PEP 562), and weights load at the first row, so that building, printing, inspecting and compiling a pipeline costs nothing.
"""

from rader_ir.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "Bm25Index": "bm25",
        "Bm25Retriever": "bm25",
        "CachedScores": "caching",
        "DeARListwiseReranker": "llm_rerankers",
        "DeARReranker": "dear",
        "ExcludeDocuments": "exclusions",
        "ICRReranker": "llm_rerankers",
        "IDCMReranker": "long_documents",
        "LLMRatingReranker": "llm_rerankers",
        "ProRankLMReranker": "prorank",
        "ProRankReranker": "prorank",
        "RaDeREncoder": "encoders",
        "RaDeRFusion": "fusion",
        "RaDeRIndex": "indexes",
        "RaDeRReranker": "rerankers",
        "RaDeRRetriever": "indexes",
        "RankGPTReranker": "llm_rerankers",
        "RankR1Reranker": "llm_rerankers",
        "ReasoningQuery": "reasoning",
        "ReciprocalRankFusion": "fusion",
        "SafeQueries": "queries",
        "TextLoader": "texts",
        "bright_frames": "bright",
    },
)
