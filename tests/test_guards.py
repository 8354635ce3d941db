"""Guards against false negatives: which texts state the same, by hand and on real pages, and which scores come too near."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rader_ir.examples import Example, Passage
from rader_ir.guards import guarded, reaches, statement

SAME = {
    "case": ("Every Integral Domain", "every integral domain"),
    "spaces": ("a  field\n\tis a ring", "a field is a ring "),
    "punctuation": ("Let x be real; then, x exists.", "Let x be real: then x exists"),
    "dollars": ("$x$ is real", "x is real"),
    "formulas on lines of their own": (r"\[x = 1\]", "$$x=1$$"),
    "braces": ("$x_{1}^{2}$", "$x_1^2$"),
    "spaces in formulas": (r"$a\,+\;b$", "$a+b$"),
    "sizes": (r"$\left( x \right)$", "$(x)$"),
    "fonts of words": (r"\emph{prime} and \text{odd}", "prime and odd"),
    "labels": (r"\label{eq:1} x = 1", "x = 1"),
    "environments": ("\\begin{align*}\nx &= 1\n\\end{align*}", "x = 1"),
    "two names of a sign": (r"$x \leq y \neq z$", r"$x\le y\ne z$"),
    "two spellings of a letter": ("e\u0301tale", "\u00e9tale"),
    "quotation marks": ("a “compact” set", 'a "compact" set'),
    "apostrophes": ("Euler’s formula", "Euler's formula"),
    "the proof": (r"x is real. \begin{proof} See above. \end{proof}", r"x is real. \begin{proof} Obvious. \end{proof}"),
    "the title": (
        r"\section{A} \begin{theorem}x = 1\end{theorem}",
        r"\begin{theorem}[B] $x=1$ \end{theorem} Source: C",
    ),
    "all theorems count": (
        r"\begin{lemma}a\end{lemma} \begin{theorem*}b\end{theorem*}",
        r"\begin{lemma}a. b\end{lemma}",
    ),
}
OTHERS = {
    "sign": ("$a + b$", "$a - b$"),
    "comparison": ("$x < y$", "$x > y$"),
    "exponent": ("$x^2$", "$x_2$"),
    "brackets": ("$(a + b)c$", "$a + bc$"),
    "digits": ("1.5", "15"),
    "words": ("not able", "notable"),
    "commands": (r"$\alpha$", r"$\beta$"),
    "fonts of letters": (r"$\mathbb{R}$", r"$\mathcal{R}$"),
    "sets": (r"$\{x\}$", "$x$"),
    "derivatives": ("f'(x) = 0", "f(x) = 0"),
    "factorial": ("n!", "n"),
    "percent in prose": ("in 50% of mice", "in 50% of men"),
    "one theorem more": (r"\begin{lemma}a\end{lemma} \begin{lemma}b\end{lemma}", r"\begin{lemma}a\end{lemma}"),
    "nothing but punctuation": ("...", "?"),
    "nothing but a proof": (r"\begin{proof}a\end{proof}", r"\begin{proof}b\end{proof}"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_copies_state_the_same(one, other):
    assert statement(one) == statement(other) != ""


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_other_statements_stay_apart(one, other):
    assert statement(one) != statement(other)


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(["  ", "\n", "\t "]))
@example("0\\", "  ")
@example("\\", "\t ")
def test_a_text_states_something_and_space_around_it_nothing(text, space):
    assert statement(text)
    assert statement(space + text + space) == statement(text)


def test_copies_among_real_pages_are_found(shared):
    """Pony's package pages stand both as Markdown and as the docstring that they were made from, three quotes around them."""
    from rader_ir.corpus import read_documents

    pages = dict(read_documents(shared / "data" / "bright_pony_pages" / "corpus.jsonl.gz"))
    texts, statements = Counter(pages.values()), Counter(map(statement, pages.values()))
    assert sum(count > 1 for count in texts.values()) == 2
    assert sum(count > 1 for count in statements.values()) == 22
    unwrapped = Counter(text.replace('"""', "").strip() for text in pages.values())
    assert sum(count > 1 for count in unwrapped.values()) == 22, "the same 22 by an oracle that knows these pages"


def test_the_margin_by_hand():
    assert [reaches(score, 0.9, 0.1) for score in (0.79, 0.85, 0.95)] == [False, True, True]
    assert reaches(3.0, 5.0, 2.0) and not reaches(2.99, 5.0, 2.0)
    for margin in (-0.1, float("nan")):
        with pytest.raises(ValueError, match=f"margin is {margin}; expected 0 or more"):
            reaches(1.0, 1.0, margin)


def test_an_example_loses_what_the_guards_find():
    """The best positive has .9. With margin .1, 'near' goes; 'far' and 'unscored' stay; 'copy' goes before it is weighed."""
    positives = (Passage("p", "A field is a ring.", 0.9), Passage("r", "Rings.", 0.2))
    negatives = {"copy": ("a field is a ring", 0.95), "near": ("x", 0.85), "far": ("y", 0.79), "unscored": ("z", None)}
    given_one = Example("q", "?", positives, [Passage(doc_id, *rest) for doc_id, rest in negatives.items()], "cot")
    kept, found = guarded(given_one, margin=0.1)
    assert [passage.doc_id for passage in kept.negatives] == ["far", "unscored"]
    assert found == {"equal_statement": 1, "score": 1}
    kept, found = guarded(given_one)
    assert [passage.doc_id for passage in kept.negatives] == ["near", "far", "unscored"] and found.total() == 1
    assert (kept.positives, kept.kind) == (positives, "cot")
