"""A collection's key tells apart whatever changes figures, and nothing else."""

from dataclasses import replace

from rader_ir.collection import Collection

ONE = Collection(
    "toy",
    queries={"q1": "why?", "q2": "how?"},
    qrels={"q1": {"d1": 1, "d2": 0}},
    excluded={"q1": frozenset({"d8", "d9"})},
)


def test_the_order_of_a_collection_does_not_change_its_key():
    turned = Collection(
        "other name",
        queries={"q2": "how?", "q1": "why?"},
        qrels={"q1": {"d2": 0, "d1": 1}},
        excluded={"q1": frozenset({"d9", "d8"})},
        version="of another day",
    )
    assert turned.key() == ONE.key()


def test_queries_judgements_and_exclusions_change_the_key():
    others = [
        replace(ONE, queries={"q1": "why?", "q2": "how so?"}),
        replace(ONE, qrels={"q1": {"d1": 1, "d2": 1}}),
        replace(ONE, excluded={"q1": frozenset({"d8"})}),
    ]
    assert len({ONE.key(), *(other.key() for other in others)}) == 4
