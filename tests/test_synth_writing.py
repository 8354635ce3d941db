"""Queries that a model writes: what they share with a theorem's wording, its names in them; by hand."""

import hashlib
import random

import pytest

from rader_ir.seeded import seed_of
from rader_ir.synth.wording import LONG, Overlap, Wording, is_named, names_of, overlap
from tests.grown_trees import CORPUS, PYTHAGORAS


def test_overlap_by_hand():
    """Without stop words the theorem is: area two circles equals area one square. These are six different words."""
    text = "The area of two circles equals the area of one square."
    assert overlap("One square and a zebra", text) == Overlap(2 / 6, 2, 2 / 3)
    assert overlap("two circles equal the area", text) == Overlap(4 / 6, 4, 1.0)
    assert overlap("zebra", text) == overlap("", text) == overlap("zebra", "$x^2$") == Overlap(0.0, 0, 0.0)


def test_overlap_with_a_long_run_against_brute_force():
    """Random sequences of four words against all common slices."""
    chance = random.Random(3)
    for _ in range(50):
        one, other = (chance.choices(["zebra", "lion", "horse", "goat"], k=chance.randint(0, 12)) for _ in range(2))
        slices = {tuple(one[i:j]) for i in range(len(one)) for j in range(i + 1, len(one) + 1)}
        held = [len(s) for s in slices if any(tuple(other[i : i + len(s)]) == s for i in range(len(other)))]
        assert overlap(" ".join(one), " ".join(other)).run == max(held, default=0)


def test_names_of_theorems():
    assert names_of(PYTHAGORAS, "Pythagoras - squares add up.") == ["Pythagoras's Theorem", "Pythagoras"]
    assert names_of("Kraft inequality\nA code has lengths.", "It bounds lengths.") == ["Kraft inequality"]
    assert names_of("Every set is small.\nIndeed it is.") == [] == names_of("Let $x$ be real\nand positive")
    assert names_of("Suppose it rains. Then it pours.") == []


@pytest.mark.parametrize(
    ("query", "name", "named"),
    [
        ("Use the Pythagorean relation", "Pythagoras's Theorem", False),
        ("what does Pythagoras say of legs", "Pythagoras's Theorem", True),
        ("apply THE LAW OF COSINES here", "Law of Cosines", True),
        ("the cosines law", "Cosine Law", True),
        ("the value of the mean", "Mean Value Theorem", False),
        ("the mean-value theorem", "Mean Value Theorem", True),
        ("Which ring has no unit?", "Ring", False),
        ("anything", "Theorem 3", False),
    ],
)
def test_a_name_is_found_in_other_spellings(query, name, named):
    """A single word of the statement, such as ring, is no name; a name is found without its "theorem"."""
    text = CORPUS["ring"] if name == "Ring" else f"{name}\nA statement in other words."
    assert is_named(query, name, text) is named


def test_limits_of_wording():
    """The query shares 2 of 6 words, repeats 2 in a row, and takes 2 of its 3 words."""
    text, asked = "The area of two circles equals the area of one square.", "One square and a zebra"
    assert Wording(share=0.34, run=2).objection(asked, text) == ""
    assert Wording(share=0.33, run=2).objection(asked, text) == "shares its words"
    assert Wording(share=0.34, run=1).objection(asked, text) == "repeats it"
    assert Wording(share=0.34, run=2, taken=0.66).objection(asked, text) == "shares its words"
    for wrong in ({"share": 1.5}, {"taken": -0.1}, {"run": -1}):
        with pytest.raises(ValueError, match="expected shares from 0 to 1 and a run of 0 or more words"):
            Wording(**wrong)


@pytest.mark.parametrize(
    ("query", "objection"),
    [
        ("Two paths cross. How many ways are left?", LONG),
        ("How many ways are left? Which of them cross?", LONG),
        ('It was asked "how many?" Then nobody counted.', LONG),
        ("How many ways are left, e.g. North of the line drawn by J. Smith, if $x < 2.5$ holds?", ""),
        ("How many ways are left, i.e. not crossed at all?  ", ""),
        ("Which ways\nare left", ""),
    ],
)
def test_a_query_is_one_sentence(query, objection):
    assert Wording().objection(query, "A connected graph has a spanning tree.") == objection


def test_a_sentence_of_a_long_theorem_is_found_to_be_taken_from_it():
    """Of a hundred words a query can hold few; that all of its own come from there still tells, though none follow each other."""
    text = " ".join(f"word{chr(97 + n // 10)}{chr(97 + n % 10)}" for n in range(100))
    asked = " ".join(text.split()[::20])
    assert overlap(asked, text) == Overlap(0.05, 1, 1.0) and Wording().objection(asked, text) == "shares its words"


RAMSEY = (
    "Ramsey's theorem\nRamsey's theorem is a result of combinatorics. It is named after Frank P. Ramsey. It tells when a graph "
    "holds a clique."
)
RIEMANN = (
    "Riemann conformal mapping theorem\nA simply connected open set can be mapped onto the disk. It is named after the German "
    "mathematician Bernhard Riemann. A Conformal mapping preserves angles, and so does what is conformal."
)


@pytest.mark.parametrize(
    ("query", "text", "named"),
    [
        ("What did Ramsey find out about graphs?", RAMSEY, True),
        ("Which graph holds a clique?", RAMSEY, False),
        ("the Riemann mapping theorem", RIEMANN, True),
        ("What keeps angles and is conformal?", RIEMANN, False),
        ("What did Heron say of areas?", CORPUS["heron"], True),
    ],
)
def test_whom_a_theorem_is_named_after_is_found_though_its_text_names_them_too(query, text, named):
    (name,) = names_of(text)
    assert is_named(query, name, text) is named


def test_seeds_follow_from_their_key():
    """The first four bytes of SHA-256 of the key's repr, without the sign bit."""
    digest = hashlib.sha256(b"(7, 'q1')").hexdigest()
    assert seed_of(7, "q1") == int(digest[:8], 16) % 2**31
    assert len({seed_of(7, str(n)) for n in range(1000)}) == 1000 and seed_of("7", 1) != seed_of(7, 1)
