"""Lucene's English analysis: hard strings with what Lucene 9.9 (pyserini 1.6) gave for them, and a live comparison."""

import json
import os
import subprocess
import sys
import time
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rader_ir.analysis import MAX_TOKEN_LENGTH, STOP_WORDS, analyse, stem, tokenise
from rader_ir.corpus import read_documents
from rader_ir.java import installed

# Each pair was recorded from io.anserini.analysis.DefaultEnglishAnalyzer; terms are parted by blanks.
RECORDED = [
    (
        r"Let $f\colon X \to Y$ be a morphism; then $f^{-1}(\mathcal{O}_Y)_{i,j}^{k+1}$ is flat.",
        "let f colon x y morphism f 1 mathcal o _y i j k 1 flat",
    ),
    (
        r"\begin{align*}\sum_{n=1}^{\infty}\frac{1}{n^2}&=\frac{\pi^2}{6}\end{align*}",
        "begin align sum_ n 1 infti frac 1 n 2 frac pi 2 6 end align",
    ),
    (
        r"$x_1,x_2,\ldots,x_n$ with 0.5<p<1.25e-3, 1,000,000 and 3.14.15",
        "x_1 x_2 ldot x_n 0.5 p 1.25e 3 1,000,000 3.14.15",
    ),
    (
        r"\mathrm{Spec}(A_\mathfrak{p}) snake_case __init__ _x_ ___ a_1b",
        "mathrm spec a_ mathfrak p snake_cas __init__ _x_ a_1b",
    ),
    (
        "Sylow's theorem, Gauss’ lemma, the groups' orders, O'Reilly's BOYS'S it's",
        "sylow theorem gauss lemma group order o'reilli boi",
    ),
    (
        "u.s.a. e.g. example.com:8080 foo:bar C++ C# .NET AT&T R&D a.b.c 3.x x.3 john@example.org",
        "u.s.a e.g example.com 8080 foo:bar c c net t r d a.b.c 3 x x 3 john example.org",
    ),
    (
        "don’t can't won't l'Hôpital’s naïve café Ångström ﬁnite ½ x² H₂O №5",
        "don’t can't won't l'hôpital naïv café ångström ﬁnite x h o 5",
    ),
    ("ΣΟΦΟΣ İstanbul ǅ ẞ STRASSE Ⅳ", "σοφοσ istanbul ǆ ß strass ⅳ"),
    (
        "psychology theology geology assemblies possibly nobly anthropologie analogously biblical",
        "psycholog theologi geologi assembl possibl nobli anthropologi analog biblic",
    ),
    (
        "trekking revved hopping falling agreed as is us by sky dying generalizations relational",
        "trek rev hop fall agre us sky dy gener relat",
    ),
    ("日本語のテキスト カタカナ・テスト 한국어 ภาษาไทย", "日 本 語 の テキスト カタカナ テスト 한국어 ภาษาไทย"),
    ("ראב\"י צה\"ל ג'ירפה ה' العربية", "ראב\"י צה\"ל ג'ירפה ה' العربية"),
    (
        "❤️‍🔥 👩🏽‍💻👍🏿 🇫🇷🇩🇪 1️⃣ #️⃣ ©2024 ® ™ ♭ ★ ↔ ⇒ ∑ ∀x∈ℝ ℓ₂ 𝒪(n²) α-β",
        "❤️‍🔥 👩🏽‍💻 👍🏿 🇫🇷 🇩🇪 1️⃣ #️⃣ © 2024 ® ™ ♭ ★ ↔ x ℝ ℓ 𝒪 n α β",
    ),
    (
        "soft\u00adhyphen zero\u200bwidth\u200djoin no\u00a0break e\u0301te\u0301 fullwidth ＡＢＣ１２３",
        "soft\u00adhyphen zero width\u200djoin break e\u0301te\u0301 fullwidth ａｂｃ１２３",
    ),
    (
        "12:30 3:1 1;2 a;b 50% $5.00 -7 1e10 0x1F 2nd 1990's 10's '90s \"quoted\"",
        "12 30 3 1 1;2 b 50 5.00 7 1e10 0x1f 2nd 1990 s 10 s 90 quot",
    ),
    (
        "mother-in-law and/or state-of-the-art i.e., Fran¸cois L¨owenheim",
        "mother law state art i. fran coi l owenheim",
    ),
    ("the of and a to THE Of \n\t--- ... ???", ""),
    ("x" * 300 + " " + "ab." * 100, f"{'x' * 255} {'x' * 45} {'ab.' * 84}ab {'ab.' * 14}ab"),
    ("_" * 300 + "a b", "_" * 254 + "a b"),
]


@pytest.mark.parametrize(("text", "terms"), RECORDED)
def test_terms_are_those_that_lucene_gave(text, terms):
    assert analyse(text) == terms.split(" ") * bool(terms)


def test_the_stop_words_are_lucenes_33():
    assert len(STOP_WORDS) == 33
    assert analyse(" ".join(sorted(STOP_WORDS)) + " from has") == ["from", "ha"]  # which other lists hold, Lucene's not


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("as", "as"),  # too short: Porter's rules would leave "a"
        ("topology", "topolog"),  # m("topo") = 1
        ("theology", "theologi"),  # m("theo") = 0
        ("possibly", "possibl"),  # possible -> possibl
        ("stably", "stabli"),  # m("sta") = 0
        ("trilogie", "trilogi"),  # the last step leaves -logi, which the second never saw
        ("savvied", "savvi"),
        ("trekking", "trek"),
        ("falling", "fall"),  # l, s and z stay doubled
    ],
)
def test_the_stemmer_departs_where_lucenes_does(word, stemmed):
    assert stem(word) == stemmed


@given(st.text())
def test_tokens_of_any_text_lie_in_it_in_order(text):
    rest = text
    for token in tokenise(text):
        _, found, rest = rest.partition(token)
        assert found
        assert len(token) <= MAX_TOKEN_LENGTH
    assert all(term and term == term.lower() for term in analyse(text))


@pytest.mark.parametrize("piece", ["_", "a", "a.", "1,", "a_", "\u200d", "_.", "\u0301", "★", "ab'"])
def test_a_megabyte_without_a_blank_takes_linear_time(piece):
    started = time.perf_counter()
    analyse(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - started < 20  # about 1 s; anything quadratic would take hours


LUCENE = """
import json, sys
from pyserini.analysis import Analyzer, get_lucene_analyzer
analyzer = Analyzer(get_lucene_analyzer())
for line in sys.stdin:
    print("terms", json.dumps(list(analyzer.analyze(json.loads(line)))))
"""


@pytest.fixture(scope="module")
def lucene():
    """A function that gives the terms of many texts by Lucene itself, in another process."""
    pytest.importorskip("pyserini")
    home = next((java.home for java in installed() if java.suits and java.has_vector_module), None)
    if home is None:
        pytest.skip("no Java 21 or later with all its modules")

    def terms(texts):
        environment = os.environ | {"JAVA_HOME": str(home), "OPENAI_API_KEY": "unused"}
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        done = subprocess.run(
            [sys.executable, "-c", LUCENE], input=lines, env=environment, capture_output=True, text=True, check=True
        )
        rows = [line.removeprefix("terms ") for line in done.stdout.splitlines() if line.startswith("terms ")]
        return [json.loads(row) for row in rows]

    return terms


@pytest.mark.java
def test_the_recorded_terms_are_still_lucenes(lucene):
    assert [" ".join(terms) for terms in lucene(text for text, _ in RECORDED)] == [terms for _, terms in RECORDED]


@pytest.mark.java
@pytest.mark.parametrize("name", ["scifact", "stacks_theorems", "theoremqa", "bright_theoq_mini"])
def test_real_documents_give_lucenes_terms(lucene, shared, name):
    texts = [text for _, text in islice(read_documents(shared / "data" / name / "corpus.jsonl.gz"), 2500)]
    differing = [text for text, terms in zip(texts, lucene(texts), strict=True) if analyse(text) != terms]
    assert differing == []
