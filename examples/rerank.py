"""BM25's first theorems for a question, reranked by a model that reads them: `bm25 % 20 >> texts >> scorer`."""

import pandas as pd

from pyterrier_rader import Bm25Retriever, RaDeREncoder, TextLoader
from rader_ir.quickstart import load

documents, questions, _ = load()
docs = [{"docno": docno, "text": text} for docno, text in documents.items()]
topics = pd.DataFrame(questions.items(), columns=["qid", "query"]).head(10)

bm25 = Bm25Retriever.from_documents(docs)
scorer = RaDeREncoder("minilm").text_scorer()  # RaDeRReranker() is RaDeR's published 7B reranker
pipeline = bm25 % 20 >> TextLoader(documents) >> scorer

results = pipeline(topics)
print(results[results["rank"] == 0][["qid", "docno", "score", "text"]].to_string(max_colwidth=40))
