"""From a dataset's name in ir_datasets to a table in LaTeX: python examples/latex_table.py bright/theoremqa-questions"""

import sys

import pyterrier as pt
from ir_measures import RR, R, nDCG

from pyterrier_rader import Bm25Retriever, ExcludeDocuments, RaDeREncoder, RaDeRFusion, RaDeRIndex
from rader_ir.fusion import PUBLISHED

name = sys.argv[1] if len(sys.argv) == 2 else sys.exit(f"usage: python {sys.argv[0]} NAME, as ir_datasets has it")
try:
    dataset = pt.get_dataset(f"irds:{name}")
    docs, topics, qrels = [*dataset.get_corpus_iter(verbose=False)], dataset.get_topics("text"), dataset.get_qrels()
except (KeyError, OSError, RuntimeError) as error:
    sys.exit(f"no {name}: {str(error)[:150]}; give a name that ir_datasets has, and a network for what is not here yet")
excluded = ExcludeDocuments.from_qrels(qrels).excluded  # BRIGHT's, labelled -100; of other collections none

index = RaDeRIndex(f"{name.replace('/', '-')}.rader", RaDeREncoder("minilm"), blank_ids="allow")
if not index.built():
    index.index(docs)
dense = index.retriever(excluded=excluded)
lexical = (Bm25Retriever.from_documents(docs, variant=v, blank_ids="allow") for v in ("lucene", "bright"))
bm25, weighted = (Bm25Retriever(one.index, excluded=excluded) for one in lexical)
hybrid = RaDeRFusion(dense, weighted, **PUBLISHED["bright-hybrid"])
systems = {"BM25": bm25, "BM25, query weighted": weighted, "MiniLM": dense, "MiniLM + BM25": hybrid}
measures = [nDCG @ 10, RR @ 10, R @ 100]
table = pt.Experiment([*systems.values()], topics, qrels[qrels["label"] >= 0], measures, [*systems])
shown = table.set_index("name").rename_axis(None)[[str(measure) for measure in measures]]
print(shown.style.highlight_max(props="textbf:--rwrap;").format(precision=4).to_latex(hrules=True))  # booktabs
