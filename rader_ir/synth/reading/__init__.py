"""What a language model replied, as values: a step, theorems to look up, a judgement, a search text (arXiv:2505.18405).

Models wrap what they say in Markdown, JSON, labels and second thoughts; the readers here look through these. What cannot be read
is None or an empty list, for the caller to count: a judgement above all fails closed, so that a theorem is kept for a plain yes
and for nothing else.
"""

from rader_ir.synth.reading.judgements import judgement
from rader_ir.synth.reading.lines import general_query, lexical_query, summary, thought
from rader_ir.synth.reading.markup import said
from rader_ir.synth.reading.theorems import queries, wants_none

__all__ = ["general_query", "judgement", "lexical_query", "queries", "said", "summary", "thought", "wants_none"]
