"""Fusing ranked lists: interpolation of normalised scores, and reciprocal rank fusion.

RaDeR (arXiv:2505.18405) mixes dense and BM25 scores, each z-scored per query, as `alpha * dense + (1 - alpha) * bm25`;
the same sum without normalisation mixes a language model's rating with the score of the first stage. Reciprocal rank
fusion (Cormack et al., SIGIR 2009) looks at ranks only. Every result is in ranked order, ties by doc_id.

`PUBLISHED` holds the settings behind RaDeR's figures on BRIGHT, as keyword arguments of `interpolate` and of PyTerrier's
`RaDeRFusion`: `interpolate(dense, bm25, **PUBLISHED[published_setting("biology")])`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from rader_ir.bright import TASKS
from rader_ir.runs import Run, check_finite, ranked

# arXiv:2505.18405 and the score files that came with it. Over which documents z-scores were taken is published nowhere; the
# released lists end at 1000.
PUBLISHED = {
    # dense and BM25 on the nine tasks of BRIGHT that are no mathematics
    "bright-hybrid": {"alpha": 0.8, "normalise": "zscore", "over": "topk", "missing": "min", "depth": 1000},
    # the three of mathematics: the released lists hold the dense scores as they are, and no document of BM25's own
    "bright-hybrid-math": {"alpha": 1.0, "normalise": "none", "over": "topk", "missing": "first", "depth": 1000},
    # first a language model's ratings / 5, in [0, 1] or -1 for a reply without one, then the run that was rated
    "bright-rating": {"alpha": 0.5, "normalise": "none", "over": "all", "missing": "first"},
}


def zscore(scores: np.ndarray) -> np.ndarray:
    """(score - mean) / population standard deviation, float64 [n] -> [n]; a list of equal scores gives all 0."""
    scaled = minmax(scores)  # z-scores are the same after it, and a tiny spread cannot round to a deviation of 0
    return (scaled - scaled.mean()) / scaled.std() if scaled.any() else scaled


def minmax(scores: np.ndarray) -> np.ndarray:
    """(score - lowest) / (highest - lowest), float64 [n] -> [n] in [0, 1]; a list of equal scores gives all 0."""
    scores = np.asarray(scores, dtype=np.float64)
    lowest, highest = (scores.min(), scores.max()) if scores.size else (0.0, 0.0)
    return (scores - lowest) / (highest - lowest) if lowest < highest else np.zeros_like(scores)


def unchanged(scores: np.ndarray) -> np.ndarray:
    """The scores as they are, float64 [n] -> [n]."""
    return np.asarray(scores, dtype=np.float64)


NORMALISATIONS = {"zscore": zscore, "minmax": minmax, "none": unchanged}
MISSING = ("min", "drop", "first")


def published_setting(task: str) -> str:
    """The name in `PUBLISHED` of the setting that mixes dense retrieval and BM25 on a task of BRIGHT.

    Raises:
        ValueError: an unknown task.
    """
    _check_choice("task", task, TASKS)
    return "bright-hybrid-math" if TASKS[task].group == "math" else "bright-hybrid"


def interpolate(
    first: Run,
    second: Run,
    *,
    alpha: float = 0.5,
    normalise: str = "zscore",
    over: str = "topk",
    missing: str = "min",
    depth: int = 1000,
) -> Run:
    """Fuse two runs: score = alpha * first + (1 - alpha) * second, each normalised per query.

    A query that only one run has, or whose other list is empty, is fused as if the other list gave 0 to every document.

    Args:
        first: the run that `alpha` weighs, by custom the dense one.
        second: the other run.
        alpha: weight in [0, 1].
        normalise: "zscore", "minmax" or "none".
        over: "topk" cuts each list to its first `depth` documents before statistics and fusion; "all" takes every
            document.
        missing: what a document gets from the list that lacks it: "min", that list's lowest normalised score; "first"
            does the same for the documents of the first list and leaves out those that only the second has; "drop" fuses
            only documents that both lists have. A query without a document that counts ends with an empty list.
        depth: see `over`.

    Returns:
        The queries of `first`, then those only `second` has; up to 2 * depth documents each.

    Raises:
        ValueError: an unknown choice, an alpha outside [0, 1], or a score that is not finite.
    """
    _check_choice("normalise", normalise, NORMALISATIONS)
    _check_choice("over", over, ("topk", "all"))
    _check_choice("missing", missing, MISSING)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha} is outside [0, 1]; it is the weight of the first run")
    check_finite(first)
    check_finite(second)
    kept = depth if over == "topk" else None
    fused: Run = {}
    for query_id in {**first, **second}:
        left, right = (_normalised(run.get(query_id, {}), kept, normalise) for run in (first, second))
        fused[query_id] = _weighted(left, right, alpha, missing)
    return fused


def reciprocal_rank(runs: Sequence[Run], *, k: int = 60, depth: int = 1000) -> Run:
    """Fuse runs by ranks: a document scores the sum of 1 / (k + rank) over the lists with it in their first `depth`.

    Ranks start at 1. Queries come in the order in which the runs first name them.

    Raises:
        ValueError: no run, a k below 0, or a score that is not finite.
    """
    if not runs:
        raise ValueError("reciprocal_rank got no run; give at least one")
    if k < 0:
        raise ValueError(f"k {k} is below 0; the customary value is 60")
    fused: Run = {}
    for run in runs:
        check_finite(run)
        for query_id, scores in run.items():
            sums = fused.setdefault(query_id, {})
            for rank, (doc_id, _) in enumerate(ranked(scores, depth), start=1):
                sums[doc_id] = sums.get(doc_id, 0.0) + 1 / (k + rank)
    return {query_id: dict(ranked(sums)) for query_id, sums in fused.items()}


def _normalised(scores: Mapping[str, float], depth: int | None, normalise: str) -> dict[str, float]:
    rows = ranked(scores, depth)  # a fixed order, so that sums do not depend on the dict's
    values = NORMALISATIONS[normalise](np.array([score for _, score in rows], dtype=np.float64))
    return {doc_id: value for (doc_id, _), value in zip(rows, values.tolist(), strict=True)}


def _weighted(left: Mapping[str, float], right: Mapping[str, float], alpha: float, missing: str) -> dict[str, float]:
    doc_ids = {"min": left.keys() | right.keys(), "drop": left.keys() & right.keys(), "first": left.keys()}[missing]
    left_lowest, right_lowest = min(left.values(), default=0.0), min(right.values(), default=0.0)
    fused = {
        doc_id: alpha * left.get(doc_id, left_lowest) + (1 - alpha) * right.get(doc_id, right_lowest)
        for doc_id in doc_ids
    }
    return dict(ranked(fused))


def _check_choice(name: str, value: str, choices) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is unknown; choose {', '.join(map(repr, choices))}")
