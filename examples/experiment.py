"""Four systems in one `pt.Experiment`, measured by ir-measures, with p-values against BM25."""

import pandas as pd
import pyterrier as pt
from ir_measures import R, nDCG

from pyterrier_rader import Bm25Retriever, RaDeREncoder, RaDeRFusion, RaDeRIndex
from rader_ir.quickstart import load

documents, questions, judgements = load()
docs = [{"docno": docno, "text": text} for docno, text in documents.items()]
topics = pd.DataFrame(questions.items(), columns=["qid", "query"])
rows = [(qid, docno, label) for qid, judged in judgements.items() for docno, label in judged.items()]
qrels = pd.DataFrame(rows, columns=["qid", "docno", "label"])

encoder = RaDeREncoder("minilm")
index = RaDeRIndex("theorems.rader")
if not index.built():
    (encoder >> index).index(docs)
bm25 = Bm25Retriever.from_documents(docs)
dense = encoder >> index.retriever()
systems = {
    "BM25": bm25,
    "dense": dense,
    "BM25 >> dense": bm25 % 100 >> encoder >> index.scorer(),
    "hybrid": RaDeRFusion(dense, bm25, alpha=0.5),
}
print(pt.Experiment(systems, topics, qrels, [nDCG @ 10, R @ 100], baseline="BM25", plan="tree").to_string())
