"""Reading what a language model wrote: a solution's answer (`solutions`), judgements (`judgements`), reasoning (`chains`).

What is not there is None, never a guess: who asked decides what an answer that cannot be read is worth.
"""

from rader_ir.answers.chains import chain_of_thought, refuses
from rader_ir.answers.judgements import label, of_cut_off, permutation, rating, without_thoughts, yes_or_no
from rader_ir.answers.solutions import WAYS, boxed, final_answer, last_number, stated

__all__ = [
    "WAYS",
    "boxed",
    "chain_of_thought",
    "final_answer",
    "label",
    "last_number",
    "of_cut_off",
    "permutation",
    "rating",
    "refuses",
    "stated",
    "without_thoughts",
    "yes_or_no",
]
