"""Values by query, and wins and losses as they are read: by hand on four queries."""

import csv

import pytest

from rader_ir.reports.per_query import wins_and_losses, write_csv

BASE = {"q1": 0.25, "q2": 1.0, "q3": 0.5, "q4": 0.1 + 0.2}
NEW = {"q1": 1.0, "q2": 0.5, "q3": 0.75, "q4": 0.3}
RESULTS = {"bm25": {"toy": {"AP": BASE}}, "dense": {"toy": {"AP": NEW}}}
QUERIES = {"toy": {"q1": "how  <many>\n`ways`?", "q2": "why?" * 1000, "q3": "which?"}}


def test_the_csv_reads_back_equal(tmp_path):
    results = {'a "b", c': {"toy": {"AP": {"q,1": 1 / 3}, "P@5": {"q,1": 0.2}}}, "d": {"toy": {"AP": {"q,1": 0.0}}}}
    write_csv(results, tmp_path / "values.csv")
    with open(tmp_path / "values.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    back: dict = {}
    for row in rows:
        values = back.setdefault(row["system"], {}).setdefault(row["collection"], {}).setdefault(row["measure"], {})
        values[row["query_id"]] = float(row["value"])
    assert back == results
    assert (tmp_path / "values.csv").read_text().splitlines()[0] == "system,collection,query_id,measure,value"


def test_wins_come_by_size_then_losses():
    """q1 gains .75 and q3 .25, q2 loses .5; q4 differs by rounding alone."""
    text = wins_and_losses(RESULTS, "bm25", "dense", "AP", queries=QUERIES)
    assert text.startswith("# dense against bm25: AP\n\n2 queries won, 1 tied, 1 lost of 4.\n")
    heads = [line for line in text.splitlines() if line.startswith("##")]
    assert heads == [
        "## Wins",
        "### query `q1`: 0.2500 → 1.0000 (+0.7500)",
        "### query `q3`: 0.5000 → 0.7500 (+0.2500)",
        "## Losses",
        "### query `q2`: 1.0000 → 0.5000 (-0.5000)",
    ]
    assert "> how &lt;many> &#96;ways&#96;?" in text.splitlines()
    assert max(map(len, text.splitlines())) == 1502  # "> " and a question cut to 1500 letters


def test_count_bounds_each_list_and_a_query_without_text_is_shown():
    text = wins_and_losses(RESULTS, "bm25", "dense", "AP", queries={}, count=1)
    assert text.count("### ") == 2 and text.count("> (no text)") == 2
    turned = wins_and_losses({"a": RESULTS["bm25"], "b": RESULTS["bm25"]}, "a", "b", "AP", queries={})
    assert turned.count("None.") == 2


def test_documents_stand_in_order_with_the_relevant_marked():
    runs = {
        "bm25": {"toy": {"q1": {"a": 1.0, "b": 4.0, "c": 2.0, "d": 3.0}}},
        "dense": {"toy": {"q1": {"a": 9.0}, "q2": {}}},
    }
    qrels = {"toy": {"q1": {"a": 1, "c": 0}, "q2": {"a": 1}}}
    opened = []

    def documents():
        opened.append("once")
        yield from [("a", "Lah\nnumber"), ("b", "Bayes"), ("x", "not shown"), ("c", "zero")]

    text = wins_and_losses(
        RESULTS, "bm25", "dense", "AP", queries=QUERIES, runs=runs, qrels=qrels, documents={"toy": documents}
    )
    lines = text.splitlines()
    first = lines.index("bm25 (relevant at 4 of 4):")
    assert lines[first + 2 : first + 5] == ["1. `b` Bayes", "2. `d`", "3. `c` zero"]
    second = lines.index("dense (relevant at 1 of 1):")
    assert lines[second + 2] == "1. **relevant** `a` Lah number"
    assert lines[second + 4 : second + 7] == ["Relevant:", "", "- `a` Lah number"]
    assert "dense (relevant at no place of 0):" in lines and "not shown" not in text
    assert opened == ["once"]
    mapped = {"toy": dict(documents())}
    assert text == wins_and_losses(
        RESULTS, "bm25", "dense", "AP", queries=QUERIES, runs=runs, qrels=qrels, documents=mapped
    )


def test_a_collection_is_named_where_there_are_several():
    results = {name: {"bright/aops": found["toy"], "other": found["toy"]} for name, found in RESULTS.items()}
    text = wins_and_losses(results, "bm25", "dense", "AP", queries={"bright/aops": {"q1": "Prove it."}}, count=1)
    assert "### AoPS, query `q1`: 0.2500 → 1.0000 (+0.7500)\n\n> Prove it." in text


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="system 'x' is not among"):
        wins_and_losses(RESULTS, "bm25", "x", "AP", queries={})
