"""Measuring runs with ir_measures: means, values per query, bootstrap intervals, a table.

Every query of the qrels counts, one that the run lacks with 0, as with trec_eval -c. Ties are broken by the tools
behind ir_measures, so that figures equal what others get for the same file: trec_eval, behind most measures, rounds
scores to 32 bits and puts the later doc_id first. A run and judgements that have nothing in common are refused, for
their 0 says nothing about retrieval.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rader_ir.runs import Qrels, Run, check_finite, ranked


def evaluate(run: Run, qrels: Qrels, measures: str | Iterable) -> dict[str, float]:
    """The mean of each measure over the queries of the qrels, as {measure: mean}; arguments as in `per_query`."""
    return {
        measure: float(np.mean(list(values.values()))) for measure, values in per_query(run, qrels, measures).items()
    }


def per_query(run: Run, qrels: Qrels, measures: str | Iterable) -> dict[str, dict[str, float]]:
    """Each measure's value for every query of the qrels, as {measure: {query_id: value}} in the orders given.

    Args:
        run: the ranked lists.
        qrels: the judgements.
        measures: names as ir_measures writes them, "nDCG@10 R@100" or a list of such names or of its measure objects.

    Raises:
        ValueError: an unknown measure or none, a run and qrels without a common query_id or a common doc_id, or a score
            that is not finite.
    """
    import ir_measures

    wanted = _parsed(measures)
    check_finite(run)
    _check_they_meet(run, qrels)
    values = {str(measure): dict.fromkeys(qrels, 0.0) for measure in wanted}
    ordered = {
        query_id: dict(ranked(scores)) for query_id, scores in run.items()
    }  # RR@k breaks ties by what comes first
    for metric in ir_measures.iter_calc(wanted, qrels, ordered):
        values[str(metric.measure)][metric.query_id] = float(metric.value)
    return values


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = 0.95, samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron, 1979): resamples the values, the same for every order of them.

    Raises:
        ValueError: no values, or a confidence outside (0, 1).
    """
    if not len(values):
        raise ValueError("bootstrap_interval got no values; give one per query")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is outside (0, 1); 0.95 is customary")
    values = np.sort(np.asarray(values, dtype=np.float64))
    random = np.random.default_rng(seed)
    means = [random.choice(values, values.size).mean() for _ in range(samples)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def intervals(
    values: Mapping[str, Mapping[str, float]], *, confidence: float = 0.95, seed: int = 0
) -> dict[str, dict[str, float]]:
    """{measure: {mean, low, high}} of what `per_query` gave, the bounds by bootstrap."""
    return {measure: _interval(each, confidence, seed) for measure, each in values.items()}


def table(results: Mapping[str, Mapping[str, Mapping[str, float]]], *, confidence: float = 0.95, seed: int = 0) -> str:
    """A plain-text table in Markdown's form: a row per system, a column per measure, each cell `mean [low, high]`.

    Args:
        results: what `per_query` gave for each system, by its name.
        confidence: of the bootstrap intervals.
        seed: of the bootstrap.
    """
    measures = list(dict.fromkeys(measure for values in results.values() for measure in values))
    rows = [["system", *measures]]
    for system, values in results.items():
        rows.append([system, *(_cell(values.get(measure), confidence, seed) for measure in measures)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _interval(values: Mapping[str, float], confidence: float, seed: int) -> dict[str, float]:
    low, high = bootstrap_interval(list(values.values()), confidence=confidence, seed=seed)
    return {"mean": float(np.mean(list(values.values()))), "low": low, "high": high}


def _cell(values: Mapping[str, float] | None, confidence: float, seed: int) -> str:
    if values is None:
        return ""
    return "{mean:.4f} [{low:.4f}, {high:.4f}]".format(**_interval(values, confidence, seed))


def _parsed(measures: str | Iterable) -> list:
    import ir_measures

    names = measures.split() if isinstance(measures, str) else list(measures)
    if not names:
        raise ValueError("no measure given; name some, for example 'nDCG@10 R@100'")
    try:
        return [ir_measures.parse_measure(name) if isinstance(name, str) else name for name in names]
    except (NameError, ValueError, SyntaxError) as error:
        raise ValueError(f"measures {names} hold an unknown one ({error}); see https://ir-measur.es") from error


def _check_they_meet(run: Run, qrels: Qrels) -> None:
    if not run.keys() & qrels.keys():
        raise ValueError(f"run and qrels have no query in common: {_some(run)} in the run, {_some(qrels)} in the qrels")
    judged = {doc_id for relevances in qrels.values() for doc_id in relevances}
    if not any(doc_id in judged for scores in run.values() for doc_id in scores):
        first = next(iter(run.values()))
        raise ValueError(f"no document of the run is judged: {_some(first)} in the run, {_some(judged)} in the qrels")


def _some(ids: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(ids)[:3])) or "none"
