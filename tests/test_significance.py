"""Paired tests against scipy, hand arithmetic and all sign vectors; corrections by hand."""

import math

import numpy as np
import pytest

from rader_ir.significance import corrected, paired, paired_groups

stats = pytest.importorskip("scipy.stats")
CHANCE = np.random.default_rng(5)
A = CHANCE.uniform(0, 1, 40)
B = np.clip(A + CHANCE.normal(0.08, 0.2, 40), 0, 1)


def test_t_is_scipys():
    assert paired(A, B) == pytest.approx(stats.ttest_rel(A, B).pvalue, rel=1e-12)
    assert 0.0001 < paired(A, B) < 0.2  # a value that says something


def test_t_by_hand():
    """Differences 1, 2, 3: mean 2, s = 1, t = 2 sqrt(3); with 2 degrees of freedom p = 1 - t / sqrt(2 + t^2)."""
    t = 2 * math.sqrt(3)
    assert paired([1, 2, 3], [0, 0, 0]) == pytest.approx(1 - t / math.sqrt(2 + t * t))


def test_wilcoxon_is_scipys():
    assert paired(A, B, test="wilcoxon") == stats.wilcoxon(A - B).pvalue


def test_wilcoxon_by_hand():
    """Five differences of one sign: all + and all - are the extremes of 2^5 sign vectors, p = 2 / 32."""
    assert paired([1, 2, 3, 4, 5], [0] * 5, test="wilcoxon") == 2 / 32


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1, 2, 4], 2 / 8),  # +++ and ---
        ([1, -2, 4], 6 / 8),  # |sum| 3 or more: +++ 7, ++- 1 no, +-+ 3, -++ 5, and their opposites
        ([0.1, 0.1, 0.1, -0.1, 0, 0], 10 / 16),  # of four signs: 2 with |sum| .4, 8 with .2, 6 with 0
        ([0, 0, 0], 1.0),
    ],
)
def test_randomisation_of_few_queries_is_exact(differences, expected):
    assert paired(differences, [0] * len(differences), test="randomisation") == expected


def test_randomisation_of_many_comes_near_the_t_test_and_keeps_to_its_seed():
    p = paired(A, B, test="randomisation", samples=20_000)
    assert p == pytest.approx(paired(A, B), abs=0.01)
    assert p == paired(B[::-1], A[::-1], test="randomisation", samples=20_000)
    assert p != paired(A, B, test="randomisation", samples=20_000, seed=1)


def test_no_random_sample_makes_a_p_value_of_0():
    assert paired([1.0] * 50, [0.0] * 50, test="randomisation", samples=99) == 1 / 100


def test_the_mean_of_means_is_tested_as_by_welch():
    """Two groups, one with its sign turned: mean1 - mean2 over its error is Welch's t of two samples, in scipy."""
    first, second = A - B, CHANCE.normal(0.05, 0.4, 15)
    expected = stats.ttest_ind(first, second, equal_var=False).pvalue
    assert paired_groups([first, -second]) == pytest.approx(expected, rel=1e-9)
    assert paired_groups([-second, first]) == pytest.approx(expected, rel=1e-9)


def test_randomisation_weighs_a_query_by_its_group():
    """Groups [3, 3] and [1, 1, 1, -1]: shares 3/4, 3/4 and 1/8, 1/8, 1/8, -1/8; the sum is 1.75.

    Of 64 sign vectors those are as far out whose first two agree and whose last four add 2/8 or more on that side:
    per side 1 (with 4/8) + 4 (with 2/8).
    """
    assert paired_groups([[3, 3], [1, 1, 1, -1]], test="randomisation") == 2 * 5 / 64


@pytest.mark.parametrize("test", ["t", "randomisation", "wilcoxon"])
def test_equal_systems_do_not_differ(test):
    assert paired(A, A, test=test) == 1.0


def test_equal_differences_leave_no_doubt_to_t():
    assert paired([0.3, 0.4, 0.5], [0.2, 0.3, 0.4]) == 0.0  # equal but for rounding


P = [0.01, 0.04, 0.03]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("none", [0.01, 0.04, 0.03]),
        ("bonferroni", [0.03, 0.12, 0.09]),
        ("holm", [0.03, 0.06, 0.06]),  # 3 * .01; 2 * .03; 1 * .04, but not below what is before it
        ("bh", [0.03, 0.04, 0.04]),  # 3/3 * .04; 3/2 * .03 = .045, but not above what is behind it; 3/1 * .01
    ],
)
def test_corrections_by_hand(method, expected):
    assert corrected(P, method=method) == pytest.approx(expected)


def test_corrections_stay_below_1_and_take_no_values():
    assert corrected([0.5, 0.9], method="bonferroni") == [1.0, 1.0]
    assert corrected([0.6, 0.9], method="holm") == [1.0, 1.0]
    assert corrected([]) == []


def test_bh_is_scipys():
    p_values = CHANCE.uniform(0, 0.2, 30)
    assert corrected(p_values, method="bh") == pytest.approx(stats.false_discovery_control(p_values))


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: paired([1, 2], [1]), "got 2 and 1 values"),
        (lambda: paired([1], [0]), "two queries or more"),
        (lambda: paired_groups([]), "two queries or more"),
        (lambda: paired([1, 2], [0, 0], test="z"), "test 'z' is unknown; choose 't', 'randomisation', 'wilcoxon'"),
        (lambda: corrected([0.1], method="sidak"), "correction 'sidak' is unknown"),
        (lambda: corrected([1.5]), "outside"),
    ],
)
def test_bad_input_is_refused(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
