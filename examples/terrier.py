"""Terrier's BM25 before a reranker. Needs Java and Terrier's two jars (README, Java); maths needs `SafeQueries`."""

from pathlib import Path

import pandas as pd
import pyterrier as pt

from pyterrier_rader import RaDeREncoder, SafeQueries, TextLoader
from rader_ir.quickstart import load

documents, questions, _ = load()
docs = [{"docno": docno, "text": text} for docno, text in documents.items()]
topics = pd.DataFrame(questions.items(), columns=["qid", "query"]).head(10)

index = pt.terrier.IterDictIndexer(str(Path("terrier-index").absolute()), overwrite=True).index(docs)
bm25 = SafeQueries() >> pt.terrier.Retriever(index, wmodel="BM25") >> pt.rewrite.reset()
pipeline = bm25 % 20 >> TextLoader(documents) >> RaDeREncoder("minilm").text_scorer()

results = pipeline(topics)
print(results[results["rank"] == 0][["qid", "docno", "score"]].to_string())
