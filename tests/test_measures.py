"""Names of measures are read and checked before any tool sees them; ids of any kind come through every tool."""

import math
import shutil

import pytest

from rader_ir.evaluation import evaluate, per_query
from rader_ir.measures import names, parsed

QRELS = {"first one": {"a 1": 1, "b": 2}, "q2": {"c": 1}}
RUN = {"first one": {"x": 3.0, "b": 2.0, "a 1": 1.0}, "q2": {"x y": 1.0}}


def test_names_are_parted_by_blanks_and_commas_outside_brackets():
    text = " nDCG@10,R@100 ,\tRBP(p=0.8, rel=1) nDCG(gains={0: 1, 1: 2})@5 nDCG(dcg='exp-log2', judged_only=True)@10"
    assert names(text) == [
        "nDCG@10",
        "R@100",
        "RBP(p=0.8, rel=1)",
        "nDCG(gains={0: 1, 1: 2})@5",
        "nDCG(dcg='exp-log2', judged_only=True)@10",
    ]
    assert names(" , ") == []


def test_measures_of_ir_measures_and_their_names_are_one():
    from ir_measures import AP, nDCG

    assert evaluate(RUN, QRELS, [nDCG @ 10, AP]) == evaluate(RUN, QRELS, "nDCG@10, AP")


def test_names_of_trec_eval_are_taken():
    assert list(map(str, parsed("ndcg_cut_10 recall_100 map recip_rank P_5 success.1"))) == [
        "nDCG@10",
        "R@100",
        "AP",
        "RR",
        "P@5",
        "Success@1",
    ]


@pytest.mark.skipif(shutil.which("perl") is None, reason="gdeval is a perl script")
def test_a_tool_that_takes_numbers_alone_is_given_numbers():
    """By hand, gains (2^grade - 1) of b at 2 and a at 3; ERR (Chapelle et al., 2009) stops with (2^grade - 1) / 16.

    gdeval prints five decimals.
    """
    found = per_query(RUN, QRELS, "ERR@10 nDCG(dcg='exp-log2')@10 RR")
    assert found["ERR@10"] == pytest.approx({"first one": 3 / 16 / 2 + (13 / 16) * (1 / 16) / 3, "q2": 0}, abs=5e-6)
    gain = (3 / math.log2(3) + 1 / math.log2(4)) / (3 + 1 / math.log2(3))
    assert found["nDCG(dcg='exp-log2')@10"] == pytest.approx({"first one": gain, "q2": 0}, abs=5e-6)
    assert found["RR"] == {"first one": 0.5, "q2": 0.0}
    with pytest.raises(ValueError, match=r"^ERR@10: gdeval refuses the judgements; it takes grades up to 4"):
        per_query(RUN, {"q2": {"x y": 5}}, "ERR@10")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nDCG@0", "measure 'nDCG@0' has cutoff 0; expected a whole number from 1 on"),
        ("R@1.5", "measure 'R@1.5' has cutoff 1.5; expected a whole number"),
        ("P@True", "has cutoff True; expected"),
        ("AP(rel=0)", "measure 'AP(rel=0)' has rel 0; expected a whole number from 1 on"),
        ("P", "measure 'P' needs a cutoff, as P@10"),
        ("INST", "measure 'INST' needs max_rel, as INST(max_rel=...)"),
        ("P(foo=3)@10", "has a parameter that it does not take; it takes cutoff, rel"),
        ("ndcg@10", "measure 'ndcg@10' is unknown: did you mean nDCG@10? (see https://"),
        ("nDGC10", "measure 'nDGC10' is unknown: did you mean nDCG@10?"),
        ("Recall(rel=2)100", "did you mean Recall(rel=2)@100?"),
        ("ndcg_cut", "measure 'ndcg_cut' is unknown: measure not found"),  # trec_eval's nine cutoffs are nine measures
        ("nDCG@-1", "measure 'nDCG@-1' is unknown: "),
        (
            "nDCG(dcg='exp-log2',gains={1:2})@10",
            "is not computed by any tool here; choose other parameters, see https://",
        ),
    ],
)
def test_what_a_tool_would_crash_at_is_told_before(name, complaint):
    with pytest.raises(ValueError) as told:
        parsed([name])
    assert complaint in str(told.value)


def test_a_measure_whose_tool_is_not_installed_is_told_in_full_with_the_remedy(monkeypatch):
    import ir_measures

    monkeypatch.setattr(ir_measures.cwl_eval, "_is_available", False)
    with pytest.raises(ValueError) as told:
        parsed("RBP(p=0.8)")
    assert str(told.value) == (
        "measure 'RBP(p=0.8)' is not computed by any tool here; name the grade that counts as relevant, as RBP(p=0.8,rel=1), "
        "and run pip install ir-measures[cwl_eval]"
    )
    with pytest.raises(
        ValueError, match=r"'RBP\(rel=1\)' is not computed by any tool here; run pip install ir-measures"
    ):
        parsed("RBP(rel=1)")
