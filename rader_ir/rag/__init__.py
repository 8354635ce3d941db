"""Retrieval measured by the answers it brings: questions with known answers, asked with and without documents.

RaDeR's Table 7 (arXiv:2505.18405) asks a model TheoremQA's questions without documents, with those that a retriever finds, with
the theorems known to help, and counts the right answers; a tree search votes among its own. Here answers are compared as in data
synthesis (`rader_ir.equivalence`), and since one of 76 questions is 1.3 points, no figure stands without its interval.
"""

from rader_ir.rag.accuracy import Paired, mcnemar, wilson
from rader_ir.rag.evaluation import Plan, measure
from rader_ir.rag.report import summary, table
from rader_ir.rag.systems import Given, System, gold, texts_of, top, voting

__all__ = [
    "Given",
    "Paired",
    "Plan",
    "System",
    "gold",
    "mcnemar",
    "measure",
    "summary",
    "table",
    "texts_of",
    "top",
    "voting",
    "wilson",
]
