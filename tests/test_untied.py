"""Ties that keep the earlier order in the scores themselves."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rader_ir.rerank.ranking import untied

SCORES = st.lists(st.none() | st.sampled_from([-1.0, 0.0, 0.2, 0.4, 1.0]) | st.floats(-50, 50, width=32), max_size=200)


@given(SCORES)
@settings(max_examples=300, deadline=None)
def test_scores_fall_along_the_order_and_stay_where_they_were(scores):
    order, made = untied(scores)
    assert sorted(order) == list(range(len(scores))) and made.dtype == np.float32
    assert (np.diff(made[order]) < 0).all()  # whatever breaks ties, there are none
    read = [i for i in order if scores[i] is not None]
    assert read == order[: len(read)]  # what was not judged comes last
    wanted = np.array([scores[i] for i in read], dtype=np.float32)
    assert (np.diff(wanted) <= 0).all() and np.abs(made[read] - wanted).max(initial=0) < 1e-3
    for before, after in pairwise(order):
        assert before < after or scores[before] != scores[after]


def test_by_hand():
    order, made = untied([None, 0.4, 0.8, 0.4, None])
    assert order == [2, 1, 3, 0, 4]
    np.testing.assert_allclose(made, [0.4, 0.4, 0.8, 0.4, 0.4], atol=1e-6)
    assert untied([])[0] == [] and untied([None, None])[0] == [0, 1]
