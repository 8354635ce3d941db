"""RaDeR's published score files: every figure that was published for the files at hand, and a miniature of their folder.

The real files are measured by pytrec_eval itself, under the names that their authors stored, so that nothing of ours but the
fusion stands between file and figure; then once more through `rader reproduce`.
"""

import gzip
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rader_ir.bright import TASKS
from rader_ir.cli import main
from rader_ir.evaluation import evaluate, per_query
from rader_ir.fusion import PUBLISHED, interpolate
from rader_ir.released import check_released, in_file_order, named, read_task
from rader_ir.runs import read_qrels

MODEL = "RaDeR-gte-Qwen2-LLMq_CoT_lexical"
DEPTHS = (1, 5, 10, 25, 50, 100)
MATH = [task for task in TASKS if TASKS[task].group == "math"]


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "rader_runs"


@pytest.fixture(scope="module")
def recorded(folder):
    return json.loads((folder / "expected.json").read_text())


def judged(shared, task):
    return read_qrels(shared / "data" / "bright" / "qrels" / f"{task}.tsv")


def stored(folder, task, name):
    with gzip.open(folder / MODEL / task / f"{name}.json.gz") as file:
        return json.load(file)


def by_trec_eval(run, qrels):
    """{query_id: {raw name: value}} of the 25 measures, by the library behind trec_eval's measures."""
    import pytrec_eval

    cuts = ",".join(map(str, DEPTHS))
    names = {"recip_rank", *(f"{name}.{cuts}" for name in ("ndcg_cut", "map_cut", "recall", "P"))}
    return pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)


def check_against_what_was_published(shared, folder, task, run):
    """All means to 5 decimals, all queries x 25 measures to 1e-9; both sides must hold the same queries and measures."""
    qrels, published = judged(shared, task), stored(folder, task, "retriever_and_reranker_query_scores")
    found = by_trec_eval(run, qrels)
    assert found.keys() == published.keys() == qrels.keys() and len(qrels) == TASKS[task].queries
    for query_id, figures in published.items():
        assert len(figures) == 25
        assert found[query_id] == pytest.approx(figures, abs=1e-9)
    means = {name: sum(each[name] for each in found.values()) / len(found) for name in next(iter(found.values()))}
    raw = {"NDCG": "ndcg_cut", "MAP": "map_cut", "Recall": "recall", "P": "P"}
    averages = stored(folder, task, "reranker_retriever_results")
    assert len(averages) == 25
    for name, figure in averages.items():
        stem, _, depth = name.partition("@")
        assert round(means[f"{raw[stem]}_{depth}" if depth else "recip_rank"], 5) == figure, name


@pytest.mark.parametrize("task", TASKS)
def test_ratings_and_retrieval_run_give_what_was_published(shared, folder, task):
    """Takes up every task whose retrieval run is in the folder."""
    files = read_task(folder / MODEL / task)
    if files.retrieval is None:
        pytest.skip(
            f"the retrieval run of {task} is not here; {MODEL}/{task}/hybrid_BM25_Rader.json of RaDeR's repository"
        )
    fused = interpolate(files.ratings, files.retrieval, **PUBLISHED["bright-rating"])
    assert {len(scores) for scores in fused.values()} == {100}
    check_against_what_was_published(shared, folder, task, fused)


@pytest.mark.parametrize("task", MATH)
def test_ratings_alone_do_where_cosines_only_break_ties(shared, folder, task):
    check_against_what_was_published(shared, folder, task, in_file_order(read_task(folder / MODEL / task).ratings))


def test_the_published_figures_of_the_theorems(shared, folder, recorded):
    """nDCG@10 .43433 of the retrieval run, .51561 with the ratings; 25 recorded figures each, and of two other mixtures."""
    files, qrels = read_task(folder / MODEL / "theoremqa_theorems"), judged(shared, "theoremqa_theorems")
    rating = PUBLISHED["bright-rating"]
    z_scored = rating | {"normalise": "zscore", "over": "topk", "depth": 100}
    runs = {
        "retrieval_run": (files.retrieval, 0.43433),
        "fused": (interpolate(files.ratings, files.retrieval, **rating), 0.51561),
        "llm_only(pytrec_eval tie order)": (files.ratings, 0.45795),
        "fused_with_per_query_z_norm(both,top100)": (
            interpolate(files.ratings, files.retrieval, **z_scored),
            0.49865,
        ),
    }
    assert recorded["theoremqa_theorems"].keys() == runs.keys()
    for name, (run, ndcg) in runs.items():
        wanted = named(recorded["theoremqa_theorems"][name])
        assert len(wanted) == 25
        found = evaluate(run, qrels, [*wanted])
        assert {measure: round(value, 5) for measure, value in found.items()} == wanted
        assert round(found["nDCG@10"], 5) == ndcg


@pytest.mark.parametrize("task", TASKS)
def test_recall_of_the_rated_documents_is_the_published_one(shared, folder, recorded, task):
    """Of 100 documents a query, whatever their order; as a mean and for every query."""
    ratings = read_task(folder / MODEL / task).ratings
    assert {len(scores) for scores in ratings.values()} == {100}
    values = per_query(ratings, judged(shared, task), "R@100")["R@100"]
    published = stored(folder, task, "retriever_and_reranker_query_scores")
    assert values == pytest.approx({name: each["recall_100"] for name, each in published.items()}, abs=1e-9)
    mean = round(sum(values.values()) / len(values), 5)
    assert mean == stored(folder, task, "reranker_retriever_results")["Recall@100"]
    assert mean == recorded["splits"][task]["published_Recall@100"]


def test_the_ratings_own_order_over_all_tasks(shared, folder, recorded):
    """What the ratings' file order gives, beside the published mixture: a mean of .3881 against .39179; equal on mathematics.

    The nine others mix in a z-scored run, so that their published figures need it and are not reached by ratings alone.
    """
    figures = {
        task: evaluate(in_file_order(read_task(folder / MODEL / task).ratings), judged(shared, task), "nDCG@10")[
            "nDCG@10"
        ]
        for task in TASKS
    }
    published = {task: each["published_nDCG@10"] for task, each in recorded["splits"].items()}
    assert sum(figures.values()) / 12 == pytest.approx(0.3881, abs=5e-5)
    assert sum(published.values()) / 12 == pytest.approx(recorded["mean_published_nDCG@10"], abs=5e-6)
    assert sorted(task for task in TASKS if round(figures[task], 5) == published[task]) == sorted(MATH)


def test_the_command_makes_all_of_it(shared, folder, capsys, tmp_path):
    told = tmp_path / "told.json"
    command = ["reproduce", folder, "--expected", folder / "expected.json", "--qrels", shared / "data/bright/qrels"]
    assert main([*map(str, command), "--json", str(told)]) == 0
    printed = capsys.readouterr().out
    for line in (
        "theoremqa_theorems, ratings and retrieval run                      25 of 25 figures agree",
        "theoremqa_theorems, ratings and retrieval run, by query            1900 of 1900 figures agree",
        "theoremqa_theorems, retrieval_run                                  25 of 25 figures agree",
        "mean of the published figures                                      1 of 1 figures agree",
    ):
        assert line in printed.splitlines()
    assert json.loads(told.read_text())["differ"] == 0


def test_corrected_judgements_do_not_give_the_published_figures(shared, folder, tmp_path, capsys):
    """The published figures were measured with the plain judgements; recall of three of the five corrected tasks differs."""
    for version in ("qrels", "qrels_fixed"):
        for path in (shared / "data" / "bright" / version).iterdir():
            shutil.copyfile(path, tmp_path / path.name)
    checks = check_released(folder / MODEL, tmp_path, {})
    assert Counter(check.group.split(",")[0] for check in checks if not check.agrees) == {
        "biology": 1,
        "stackoverflow": 1,
        "sustainable_living": 1,
    }


# One query: a and b are rated alike, the run has b first, and b is relevant. Fused, b (.4 + .3) is above a (.4 + .2): all
# measures 1. In the order of the file a is first: RR .5 and nDCG 1 / log2(3).
MINIATURE = {
    "gpt4_score.json": {"q": {"a": 0.8, "b": 0.8, "c": 0.2}},
    "hybrid_BM25_Rader.json": {"q": {"b": 0.6, "a": 0.4, "c": 0.3, "unrated": 0.2}},
    "reranker_retriever_results.json": {"NDCG@10": 1.0, "Recall@100": 1.0, "MRR": 1.0},
    "retriever_and_reranker_query_scores": {"q": {"ndcg_cut_10": 1.0, "recip_rank": 1.0}},
}


@pytest.fixture
def miniature(tmp_path, monkeypatch):
    """Files as their authors store them, of one task that is no mathematics, and judgements."""
    monkeypatch.chdir(tmp_path)
    for name, content in MINIATURE.items():
        path = tmp_path / "files" / "M" / "pony" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "pony.tsv").write_text("q\t0\tb\t1\n")
    (tmp_path / "expected.json").write_text('{"model": "M"}')
    return tmp_path / "files" / "M"


CALL = "reproduce files --expected expected.json --qrels qrels"


def spoil(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_miniature_agrees(miniature, capsys):
    assert main(CALL.split()) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pony, rated documents                      2 of 2 figures agree",
        "pony, ratings and retrieval run            3 of 3 figures agree",
        "pony, ratings and retrieval run, by query  2 of 2 figures agree",
    ]


def test_a_changed_rating_is_seen_in_the_mean_and_in_its_query(miniature, capsys):
    """a, rated 1, gets .5 + .2 = .7 and b, rated .7, .35 + .3 = .65: the relevant b stands second."""
    spoil(miniature / "pony" / "gpt4_score.json", q={"a": 1.0, "b": 0.7, "c": 0.2})
    assert main(CALL.split()) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "pony, ratings and retrieval run: RR is 0.5, expected 1, by -0.5" in lines
    assert "pony, ratings and retrieval run, by query, query q: nDCG@10 is 0.63093, expected 1, by -0.37" in lines


def test_without_the_retrieval_run_ratings_alone_are_measured(miniature, capsys):
    (miniature / "pony" / "hybrid_BM25_Rader.json").unlink()
    assert main(CALL.split()) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pony, rated documents  2 of 2 figures agree",
        "No retrieval run, so ratings alone: pony",
    ]


def test_ties_go_by_the_order_of_the_file():
    assert in_file_order({"q": {"c": 0.2, "b": 0.8, "a": 0.8}}) == {"q": {"b": 0.0, "a": -1.0, "c": -2.0}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda task: shutil.rmtree(task), "M: no task of BRIGHT is there"),
        (lambda task: (task / "gpt4_score.json").unlink(), "pony: no gpt4_score; expected gpt4_score.json"),
        (lambda task: (task / "reranker_retriever_results.json").write_text('{"MRR": 1}'), "no R@100, nDCG@10; get the"),
        (lambda task: spoil(task / "reranker_retriever_results.json", Good=1), "measure 'Good' is unknown; known are NDCG"),
        (lambda task: (task / "retriever_and_reranker_query_scores").write_text('{"q": {"gm_map": 1}}'), "'gm_map' is unk"),
        (lambda task: (task / "retriever_and_reranker_query_scores").write_text('{"q": 1}'), "'q' has 1; expected"),
        (lambda task: (task / "gpt4_score.json").write_text('{"q": {"z": 1}}'), "no document of the run is judged"),
        (lambda task: Path("qrels/pony.tsv").unlink(), "qrels: no judgements of pony"),
        (lambda task: spoil(Path("expected.json"), pony={"others": {}}), "expected figures of pony are for 'others'"),
        (lambda task: spoil(Path("expected.json"), splits={"pony": {"R": 1}}), "pony, as recorded: figures of R are exp"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_2_and_one_line(miniature, capsys, change, message):
    change(miniature / "pony")
    assert main(CALL.split()) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_decimals_are_for_tables(miniature, capsys):
    assert main([*CALL.split(), "--decimals", "3"]) == 2
    assert "--decimals is for a table" in capsys.readouterr().err
