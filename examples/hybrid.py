"""Dense retrieval and BM25 in one ranking: alpha * z(dense) + (1 - alpha) * z(bm25)."""

import pandas as pd

from pyterrier_rader import Bm25Retriever, RaDeREncoder, RaDeRFusion, RaDeRIndex
from rader_ir.quickstart import load

documents, questions, _ = load()
docs = [{"docno": docno, "text": text} for docno, text in documents.items()]
topics = pd.DataFrame(questions.items(), columns=["qid", "query"]).head(10)

encoder = RaDeREncoder("minilm")
index = RaDeRIndex("theorems.rader")
if not index.built():
    (encoder >> index).index(docs)

dense = encoder >> index.retriever()
bm25 = Bm25Retriever.from_documents(docs)
hybrid = RaDeRFusion(dense, bm25, alpha=0.5, normalise="zscore", over="topk", missing="min")
print((hybrid % 3)(topics)[["qid", "docno", "rank", "score"]].to_string())
