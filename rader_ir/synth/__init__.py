"""Data synthesis: from problems with known answers, a corpus of theorems and a language model to training examples.

RaDeR (arXiv:2505.18405, section 3) lets the model solve the problems by a tree search that looks theorems up on the way. What led
to the right answer is a positive, what the model's own reflection turned down a hard negative, and the path gives the queries.
"""
