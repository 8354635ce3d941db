"""A dense index and its retriever: encode the theorems once, then `encoder >> index.retriever()`."""

import pandas as pd

from pyterrier_rader import RaDeREncoder, RaDeRIndex
from rader_ir.quickstart import load

documents, questions, _ = load()
docs = [{"docno": docno, "text": text} for docno, text in documents.items()]
topics = pd.DataFrame(questions.items(), columns=["qid", "query"]).head(10)

encoder = RaDeREncoder("minilm")  # RaDeREncoder() is RaDeR's published 7B retriever
index = RaDeRIndex("theorems.rader")
if not index.built():
    (encoder >> index).index(docs)

dense = encoder >> index.retriever() % 3
print(dense(topics)[["qid", "docno", "rank", "score"]].to_string())
