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
topics = encoder(topics)  # query vectors made once, for three systems
bm25, dense = Bm25Retriever.from_documents(docs), index.retriever()
systems = {
    "BM25": bm25,
    "dense": dense,
    "BM25 >> rerank": bm25 % 100 >> index.vec_loader() >> encoder.text_scorer(),  # texts: TextLoader(documents)
    "hybrid": RaDeRFusion(dense, bm25, alpha=0.5),
}
print(pt.Experiment(systems, topics, qrels, [nDCG @ 10, R @ 100], baseline="BM25").to_string())
