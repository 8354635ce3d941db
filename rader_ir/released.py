"""The score files that RaDeR's authors published, against the figures that they published with them.

github.com/Debrup-61/RaDeR has, under `BRIGHT_score_files/MODEL/TASK/`, a language model's ratings of 100 documents per query
(divided by 5), for some tasks the retrieval run whose first 100 they are, and 25 measures of both together, as means and by
query. Half of each, nothing normalised, gives these measures (`PUBLISHED["bright-rating"]`). On the three tasks of mathematics
the ratings alone do, ties in the order of their file, since cosines lie too close to do more than break ties.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rader_ir.bright import TASKS
from rader_ir.evaluation import per_query
from rader_ir.files import find_file
from rader_ir.fusion import PUBLISHED, interpolate
from rader_ir.reproduce import Check, checked_table, compare, judgements, read_expected, rounding
from rader_ir.runs import Qrels, Run, read_run

PACKED = (".json", "")  # the file of query scores is JSON under a name without an ending
DECIMALS = 5
EXACT = 1e-9  # of the figures by query, which are printed in full
_MEANS_FILE, _QUERIES_FILE = "reranker_retriever_results", "retriever_and_reranker_query_scores"
_RAW = {"ndcg_cut": "nDCG", "map_cut": "AP", "recall": "R", "P": "P", "recip": "RR"}
_MEANS = {"NDCG": "nDCG", "MAP": "AP", "Recall": "R", "P": "P", "MRR": "RR"}
_Z_SCORED = {"alpha": 0.5, "normalise": "zscore", "over": "topk", "missing": "first", "depth": 100}


class Files(NamedTuple):
    """What the folder of one task holds.

    Attributes:
        ratings: {query_id: {doc_id: rating / 5}}, in the order of the file.
        retrieval: the run that was rated; None where it is not there.
        means: {measure: published mean}, named as ir_measures does.
        by_query: {query_id: {measure: published figure}}.
    """

    ratings: Run
    retrieval: Run | None
    means: dict[str, float]
    by_query: dict[str, dict[str, float]]


def read_task(folder: str | Path) -> Files:
    """Read the files of one task; each may be packed as .gz.

    Raises:
        FileNotFoundError: ratings, means or figures by query are not there.
        ValueError: a broken file.
    """
    means = named(checked_table({"means": read_expected(path := _needed(folder, _MEANS_FILE))[0]}, path)["means"])
    by_query = checked_table(read_expected(path := _needed(folder, _QUERIES_FILE))[0], path)
    if lacking := {"nDCG@10", "R@100"} - means.keys():
        raise ValueError(f"{_needed(folder, _MEANS_FILE)}: no {', '.join(sorted(lacking))}; get the file again")
    retrieval = find_file(folder, "hybrid_BM25_Rader", PACKED)
    return Files(
        read_run(_needed(folder, "gpt4_score")),
        None if retrieval is None else read_run(retrieval),
        means,
        {
            query_id: {_name(name.rpartition("_"), _RAW): value for name, value in figures.items()}
            for query_id, figures in by_query.items()
        },
    )


def named(figures: Mapping[str, float]) -> dict[str, float]:
    """Published names of means as ir_measures writes them: {"MAP@5": .1, "MRR": .2} gives {"AP@5": .1, "RR": .2}.

    Raises:
        ValueError: an unknown name.
    """
    return {_name(name.partition("@"), _MEANS): value for name, value in figures.items()}


def tasks(folder: str | Path) -> dict[str, Path]:
    """The folder of each task of BRIGHT that a model's folder has, by its name.

    Raises:
        FileNotFoundError: none is there.
    """
    found = {task: Path(folder) / task for task in TASKS if (Path(folder) / task).is_dir()}
    if not found:
        raise FileNotFoundError(
            f"{folder}: no task of BRIGHT is there; expected folders such as {', '.join([*TASKS][:2])}"
        )
    return found


def without_retrieval(folder: str | Path) -> list[str]:
    """The tasks of a model's folder that lack the retrieval run, so that their published measures cannot be made."""
    return [task for task, path in tasks(folder).items() if find_file(path, "hybrid_BM25_Rader", PACKED) is None]


def in_file_order(ratings: Run) -> Run:
    """A run of the ratings that breaks ties by what comes first in the file; its scores are ranks, with a minus."""
    return {
        query_id: {doc_id: -float(rank) for rank, doc_id in enumerate(sorted(scores, key=scores.get, reverse=True))}
        for query_id, scores in ratings.items()
    }


def check_released(folder: str | Path, qrels: str | Path, expected: Mapping) -> list[Check]:
    """Make what was published out of what was published: every task that the folder of a model has.

    Args:
        folder: of the model; holds a folder for each task.
        qrels: folder of TASK.tsv, the plain judgements.
        expected: figures that were measured on the same files, as in `expected.json` beside them; parts may lack.

    Raises:
        FileNotFoundError: no task, or one without its files or judgements.
        ValueError: a broken file, judgements of other documents.
    """
    checks, published = [], {}
    for task, path in tasks(folder).items():
        files = read_task(path)
        published[task] = files.means["nDCG@10"]
        checks += _check_task(task, files, judgements(qrels, task), expected)
    if published.keys() == TASKS.keys() and "mean_published_nDCG@10" in expected:
        mean = sum(published.values()) / len(published)
        checks += compare(
            "mean of the published figures",
            {"nDCG@10": expected["mean_published_nDCG@10"]},
            {"nDCG@10": mean},
            rounding(DECIMALS),
        )
    return checks


def _check_task(task: str, files: Files, qrels: Qrels, expected: Mapping) -> Iterator[Check]:
    close = rounding(DECIMALS)
    rated = per_query(files.ratings, qrels, "R@100")["R@100"]  # of exactly 100 documents: no order changes it
    recall = {"R@100": sum(rated.values()) / len(rated)}
    yield from compare(f"{task}, rated documents", {"R@100": files.means["R@100"]}, recall, close)
    yield from compare(
        f"{task}, rated documents",
        *({"queries": number} for number in (len(files.by_query), len(qrels.keys() & files.ratings.keys()))),
        0,
    )
    found = {"queries": len(files.by_query), "candidates_Recall@100": recall["R@100"]}
    found |= {"published_nDCG@10": files.means["nDCG@10"], "published_Recall@100": files.means["R@100"]}
    yield from compare(f"{task}, as recorded", expected.get("splits", {}).get(task, {}), found, close)
    if TASKS[task].group == "math":
        yield from _check_run(f"{task}, ratings in the order of their file", in_file_order(files.ratings), qrels, files)
    if files.retrieval is not None:
        fused = interpolate(files.ratings, files.retrieval, **PUBLISHED["bright-rating"])
        yield from _check_run(f"{task}, ratings and retrieval run", fused, qrels, files)
        yield from _check_recorded(task, files, fused, qrels, expected.get(task, {}))


def _check_run(group: str, run: Run, qrels: Qrels, files: Files) -> Iterator[Check]:
    """Means to five digits and, under a group of its own, every query to 1e-9."""
    values = per_query(run, qrels, [*files.means])
    yield from compare(group, files.means, _means_of(values), rounding(DECIMALS))
    for query_id, figures in files.by_query.items():
        found = {measure: each.get(query_id, 0.0) for measure, each in values.items()}
        yield from compare(f"{group}, by query", figures, found, EXACT, query_id)


def _check_recorded(task: str, files: Files, fused: Run, qrels: Qrels, recorded: Mapping) -> Iterator[Check]:
    runs = {
        "retrieval_run": files.retrieval,
        "llm_only(pytrec_eval tie order)": files.ratings,
        "fused": fused,
        "fused_with_per_query_z_norm(both,top100)": interpolate(files.ratings, files.retrieval, **_Z_SCORED),
    }
    for name, figures in recorded.items():
        if name not in runs:
            raise ValueError(f"expected figures of {task} are for {name!r}; known are {', '.join(runs)}")
        wanted = named(figures)
        found = _means_of(per_query(runs[name], qrels, [*wanted]))
        yield from compare(f"{task}, {name}", wanted, found, rounding(DECIMALS))


def _means_of(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {measure: sum(each.values()) / len(each) for measure, each in values.items()}


def _name(parts: tuple[str, str, str], stems: Mapping[str, str]) -> str:
    """A measure's name out of (stem, sign, depth)."""
    stem, sign, depth = parts
    if stem not in stems:
        raise ValueError(f"measure {''.join(parts)!r} is unknown; known are {', '.join(stems)}, with their depths")
    return f"{stems[stem]}@{depth}" if sign and depth.isdecimal() else stems[stem]


def _needed(folder: str | Path, name: str) -> Path:
    path = find_file(folder, name, PACKED)
    if path is None:
        raise FileNotFoundError(f"{folder}: no {name}; expected {name}.json, or packed as .json.gz")
    return path
