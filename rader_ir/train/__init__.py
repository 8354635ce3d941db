"""Training: from examples to checkpoint folders that every door opens.

One recipe per kind of checkpoint (`retriever`, `reranker`, `idcm`), over a run-time that all share. Texts are written and
tokenised by the same code that serves them.
"""
