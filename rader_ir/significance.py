"""Is one system better than another on the same queries: paired tests, and corrections for asking many times.

Differences per query are tested by Student's t, by randomisation (signs flipped at random; Smucker et al., CIKM 2007,
recommend both) or by Wilcoxon's signed ranks. Over several collections the tested figure is the mean of their means, as
tables show it, so that a collection of few queries weighs as much as one of many. Nothing here knows of runs or files.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

TESTS = {"t": "paired t-test", "randomisation": "paired randomisation test", "wilcoxon": "Wilcoxon signed-rank test"}
CORRECTIONS = {"holm": "Holm", "bonferroni": "Bonferroni", "bh": "Benjamini and Hochberg", "none": ""}
SAMPLES = 10_000  # sign vectors of a randomisation test
_CHUNK = 1000  # sign vectors at once, which bounds memory


def paired(a: Sequence[float], b: Sequence[float], *, test: str = "t", samples: int = SAMPLES, seed: int = 0) -> float:
    """Two-sided p-value of a paired test that two systems are equal.

    Args:
        a: one system's value of a measure for each query, [n].
        b: the other's for the same queries in the same order, [n].
        test: a name of `TESTS`.
        samples: of the randomisation test, which is exact where that many sign vectors do.
        seed: of its random signs.

    >>> paired([0.5, 0.6, 0.9], [0.4, 0.4, 0.4], test="randomisation")  # +++ and --- of the 8 sign vectors
    0.25

    Raises:
        ValueError: lists of other lengths than each other, fewer than two queries, or an unknown test.
        ImportError: t or wilcoxon without scipy.
    """
    if len(a) != len(b):
        raise ValueError(f"a paired test got {len(a)} and {len(b)} values; give one of each system for each query")
    return paired_groups(
        [np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)], test=test, samples=samples, seed=seed
    )


def paired_groups(
    differences: Sequence[Sequence[float]], *, test: str = "t", samples: int = SAMPLES, seed: int = 0
) -> float:
    """Two-sided p-value of a test that the mean of the groups' mean differences is 0.

    Student's t divides that mean by its standard error, with Welch and Satterthwaite's degrees of freedom (of one group
    n - 1, the common paired test). Randomisation flips the sign of each query's share of the mean. Wilcoxon's ranks the
    differences of all groups together, for ranks know no mean of means.

    Args:
        differences: for each collection, the two systems' differences by query.
        test, samples, seed: as in `paired`.

    Raises:
        ValueError: no group, a group of fewer than two queries, or an unknown test.
        ImportError: t or wilcoxon without scipy.
    """
    if test not in TESTS:
        raise ValueError(f"test {test!r} is unknown; choose {', '.join(map(repr, TESTS))}")
    groups = [np.sort(np.asarray(group, dtype=np.float64)) for group in differences]
    if not groups or min(group.size for group in groups) < 2:
        raise ValueError("a paired test needs two queries or more of each collection")
    if not any(group.any() for group in groups):
        return 1.0
    if test == "randomisation":
        return _randomisation(np.concatenate([group / (group.size * len(groups)) for group in groups]), samples, seed)
    return _student(groups) if test == "t" else _wilcoxon(np.concatenate(groups))


def corrected(p_values: Sequence[float], *, method: str = "holm") -> list[float]:
    """The p-values adjusted for being a family, in the order given; one below the level is still significant.

    "holm" (1979) and "bonferroni" bound the chance of any false finding, "bh" (Benjamini and Hochberg, 1995) the expected
    share of false ones among the findings, "none" leaves them.

    >>> corrected([0.01, 0.04, 0.03])  # 3 * .01; 2 * .03; 1 * .04, raised to what stands before it
    [0.03, 0.06, 0.06]

    Raises:
        ValueError: an unknown method, or a value outside [0, 1].
    """
    if method not in CORRECTIONS:
        raise ValueError(f"correction {method!r} is unknown; choose {', '.join(map(repr, CORRECTIONS))}")
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values {list(p_values)} hold one outside [0, 1]")
    count = len(p_values)
    if method in ("none", "bonferroni"):
        return [float(min(1.0, p * (count if method == "bonferroni" else 1))) for p in p_values]
    order = np.argsort(p_values, kind="stable")
    ascending = np.asarray(p_values, dtype=np.float64)[order]
    if method == "holm":
        adjusted = np.maximum.accumulate(ascending * (count - np.arange(count)))
    else:
        adjusted = np.minimum.accumulate((ascending * count / np.arange(1, count + 1))[::-1])[::-1]
    found = np.empty(count)
    found[order] = np.minimum(1.0, adjusted)
    return found.tolist()


def _student(groups: list[np.ndarray]) -> float:
    from scipy import stats  # of the extra `eval`; the randomisation test does without

    variances = np.array([group.var(ddof=1) / group.size for group in groups])
    mean = sum(group.mean() for group in groups)  # of k groups the sum: mean and error are both divided by k
    if np.sqrt(variances.sum()) <= 1e-12 * abs(mean):  # all differences equal: only rounding is left of the error
        return 0.0
    freedom = variances.sum() ** 2 / sum(v**2 / (group.size - 1) for v, group in zip(variances, groups, strict=True))
    return float(2 * stats.t.sf(abs(mean) / np.sqrt(variances.sum()), freedom))


def _wilcoxon(differences: np.ndarray) -> float:
    from scipy import stats

    return float(stats.wilcoxon(differences).pvalue)


def _randomisation(shares: np.ndarray, samples: int, seed: int) -> float:
    """The share of sign vectors under which the sum is as far from 0 as it is; exact where all of them are tried."""
    least = abs(shares.sum()) * (1 - 1e-9)  # sums that are equal but for rounding count
    shares = np.sort(np.abs(shares[shares != 0]))  # a 0 has no sign; the order and who is subtracted do not matter
    if 2**shares.size <= samples:
        signs = np.array(list(product((-1, 1), repeat=shares.size)), dtype=np.int8)
        return float(np.mean(np.abs(signs @ shares) >= least))
    random = np.random.default_rng(seed)
    far = 0
    for start in range(0, samples, _CHUNK):
        signs = random.integers(0, 2, (min(_CHUNK, samples - start), shares.size), dtype=np.int8) * 2 - 1
        far += int(np.sum(np.abs(signs @ shares) >= least))
    return (far + 1) / (samples + 1)  # the list as it is counts as one of them, so that no p-value is 0
