"""Measuring runs with ir_measures: values per query, means, bootstrap intervals, and how a run and judgements meet.

Every query of the qrels counts, one that the run lacks with 0, as with trec_eval -c. Ties have one order for every
measure, whatever the order of rows: trec_eval's, which rounds scores to 32 bits and puts the later doc_id first. A run
and judgements that have nothing in common are refused, for their 0 says nothing about retrieval.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rader_ir.measures import by_query, parsed
from rader_ir.runs import Qrels, Run, check_finite, some

Values = dict[str, dict[str, float]]  # {measure: {query_id: value}}
Results = dict[str, dict[str, Values]]  # {system: {collection: values}}

SAMPLES = 1000  # of a bootstrap


def evaluate(run: Run, qrels: Qrels, measures: str | Iterable) -> dict[str, float]:
    """The mean of each measure over the queries of the qrels, as {measure: mean}; arguments as in `per_query`."""
    return {
        measure: float(np.mean(list(values.values()))) for measure, values in per_query(run, qrels, measures).items()
    }


def per_query(run: Run, qrels: Qrels, measures: str | Iterable) -> Values:
    """Each measure's value for every query of the qrels, as {measure: {query_id: value}} in the orders given.

    Args:
        run: the ranked lists.
        qrels: the judgements.
        measures: names as `rader_ir.measures` takes them, "nDCG@10 R@100" or a list of such names or of measure objects.

    Raises:
        ValueError: as `measures.parsed`; a score that is not finite, a run and qrels without a common query_id,
            or of whose common queries no list holds a judged doc_id.
    """
    wanted = parsed(measures)
    check_finite(run)
    _check_they_meet(run, qrels)
    values = {str(measure): dict.fromkeys(qrels, 0.0) for measure in wanted}
    untied = {query_id: _places(scores) for query_id, scores in run.items() if query_id in qrels}
    for measure, query_id, value in by_query(untied, qrels, wanted):
        values[measure][query_id] = value
    return values


def missing_queries(run: Run, qrels: Qrels) -> list[str]:
    """The judged queries that the run lacks or has an empty list for, in the order of the qrels; they score 0."""
    return [query_id for query_id in qrels if not run.get(query_id)]


def remarks(run: Run, qrels: Qrels) -> list[str]:
    """What a reader of the figures should know about how a run and judgements meet; nothing where they just fit.

    >>> remarks({"q1": {"a": 1.0}, "q3": {"a": 1.0}}, {"q1": {"a": 1}, "q2": {"a": 1}})
    ['1 of 2 queries missing, scored 0', '1 query without judgements, left out']
    """
    found = []
    if missing := len(missing_queries(run, qrels)):
        found.append(f"{missing} of {len(qrels)} queries missing, scored 0")
    if extra := len(run.keys() - qrels.keys()):
        found.append(f"{extra} {'query' if extra == 1 else 'queries'} without judgements, left out")
    if not any(scores.keys() & qrels.get(query_id, {}).keys() for query_id, scores in run.items()):
        found.append("no list holds a document that is judged for its query; are these another variant's judgements?")
    return found


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = 0.95, samples: int = SAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron, 1979): resamples the values, the same for every order of them.

    Raises:
        ValueError: no values, or a confidence outside (0, 1).
    """
    return macro_interval([values], confidence=confidence, samples=samples, seed=seed)


def macro_interval(
    groups: Sequence[Sequence[float]], *, confidence: float = 0.95, samples: int = SAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of the groups' means, each group resampled by itself.

    Args:
        groups: values by query for each collection; their order, and that of the values, does not matter.
        confidence: share of the resampled means between the two bounds.
        samples: resamplings.
        seed: of the resampling.

    Raises:
        ValueError: no group, a group without values, or a confidence outside (0, 1).
    """
    if not len(groups) or not all(map(len, groups)):
        raise ValueError("the bootstrap got no values; give one per query")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is outside (0, 1); 0.95 is customary")
    random = np.random.default_rng(seed)
    ordered = [np.array(values) for values in sorted(sorted(map(float, group)) for group in groups)]
    means = [[random.choice(values, values.size).mean() for _ in range(samples)] for values in ordered]
    low, high = np.quantile(np.mean(means, axis=0), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def intervals(values: Values, *, confidence: float = 0.95, seed: int = 0) -> dict[str, dict[str, float]]:
    """{measure: {mean, low, high}} of what `per_query` gave, the bounds by bootstrap."""
    return {measure: _interval(each, confidence, seed) for measure, each in values.items()}


def _interval(values: Mapping[str, float], confidence: float, seed: int) -> dict[str, float]:
    low, high = bootstrap_interval(list(values.values()), confidence=confidence, seed=seed)
    return {"mean": float(np.mean(list(values.values()))), "low": low, "high": high}


def _places(scores: Mapping[str, float]) -> dict[str, float]:
    """{doc_id: length of the list - place}, in trec_eval's order: no tie is left for a tool to break in its own way."""
    doc_ids = sorted(scores, reverse=True)
    with np.errstate(over="ignore"):  # what 32 bits cannot hold ties at infinity there too
        rounded = np.array([scores[doc_id] for doc_id in doc_ids], dtype=np.float64).astype(np.float32)
    order = np.argsort(-rounded, kind="stable").tolist()
    return {doc_ids[at]: float(len(order) - place) for place, at in enumerate(order)}


def _check_they_meet(run: Run, qrels: Qrels) -> None:
    if not any(run.values()):
        raise ValueError("the run is empty; look at what should have written it")
    advice = "take the judgements of this run's collection and variant"
    if not run.keys() & qrels.keys():
        both = f"{some(run)} in the run, {some(qrels)} in the qrels"
        raise ValueError(f"run and qrels have no query in common: {both}; {advice}")
    judged = {doc_id for relevances in qrels.values() for doc_id in relevances}
    lists = [scores for query_id, scores in run.items() if query_id in qrels and scores]
    if not any(doc_id in judged for scores in lists for doc_id in scores):
        both = f"{some(lists[0] if lists else ())} in the run, {some(judged)} in the qrels"
        raise ValueError(f"no document of the run is judged: {both}; {advice}")
