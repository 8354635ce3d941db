"""Training: from examples to checkpoint folders that every door opens.

One recipe per kind of checkpoint (`retriever`, `reranker`), over a run-time that both share. Texts are written and tokenised by
the same code that serves them.
"""
