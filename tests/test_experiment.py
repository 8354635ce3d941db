"""Experiments on collections small enough to follow: runs against the engines called directly, keys, kills, and what is shared.

The engines are those of tests/toys.py: an encoder that hashes words, and a reranker that counts shared ones.
"""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rader_ir.bm25 import BM25
from rader_ir.cells import Cell
from rader_ir.collection import Collection
from rader_ir.evaluation import per_query
from rader_ir.experiment import Experiment
from rader_ir.fusion import PUBLISHED, interpolate
from rader_ir.pipelines import parse
from rader_ir.runs import ranked, read_run, without, write_run
from tests.killing import killed_at
from tests.toys import WordEncoder, WordOverlap

DOCUMENTS = {
    "d1": "the law of large numbers and the mean of a sample",
    "d2": "every finite integral domain is a field",
    "d 3": "a graph is bipartite if it contains no odd cycle",
    "d4": "the determinant of a product is a product of determinants",
    "d5": "the sample mean converges to the expected value by the law",
    "d6": "a finite field has a prime power of elements",
    "d7": "an odd number of elements has no perfect matching in a graph",
}
QUERIES = {"q1": "law of the sample mean", "q2": "finite field of elements", "q3": "odd cycle in a graph"}
PONY = Collection(
    name="bright/pony",
    queries=QUERIES,
    qrels={"q1": {"d1": 1, "d5": 1}, "q2": {"d6": 1}, "q3": {"d 3": 1, "d7": 1}},
    excluded={"q2": frozenset({"d2", "none"})},
    documents=lambda: iter(DOCUMENTS.items()),
    instruction="Find: ",
    measures=("nDCG@10", "R@2"),
    version="as made up",
)
AOPS = replace(PONY, name="bright/aops", queries={"q1": "a product", "q3": "no odd cycle"}, excluded={})
QUESTIONS = {query_id: f"{text} elements" for query_id, text in QUERIES.items()}
DENSE, RERANK = "dense:minilm", "rerank:rader:some/reranker"


class ToyEngines:
    """Engines of tests/toys.py by the checkpoint's name; `encoded` are all texts that an encoder read, `pairs` all pairs."""

    def __init__(self):
        self.encoders, self.rerankers, self.closed = {}, {}, 0

    def encoder(self, system, collection):
        return self.encoders.setdefault(system.checkpoint, WordEncoder(system.checkpoint))

    def reranker(self, system, collection):
        return self.rerankers.setdefault(system.checkpoint, WordOverlap(system.checkpoint))

    def describe(self, engine):
        return {"checkpoint": engine.name}

    def close(self):
        self.closed += 1

    @property
    def encoded(self):
        return [text for encoder in self.encoders.values() for text in encoder.asked]

    @property
    def pairs(self):
        return [pair for reranker in self.rerankers.values() for pair in reranker.pairs]


def run(out, names, collections=(PONY,), *, first="bm25-bright", engines=None, **options):
    """The outcome of an experiment, and its engines."""
    engines = engines or ToyEngines()
    return Experiment(parse(names, first=first), out, engines=engines, **options).run(collections), engines


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bm25(variant="bright", collection=PONY, depth=1000):
    index = BM25.build(DOCUMENTS.items(), variant=variant, blank_ids="allow")
    return index.retrieve(collection.queries, depth=depth, excluded=collection.excluded)


def dense(collection=PONY):
    encoder = WordEncoder()
    vectors = encoder.encode_docs(list(DOCUMENTS.values()))
    queries = encoder.encode_queries(
        list(collection.queries.values()), [collection.instruction] * len(collection.queries)
    )
    scores = {
        query_id: dict(zip(DOCUMENTS, map(float, vectors @ query), strict=True))
        for query_id, query in zip(collection.queries, queries, strict=True)
    }
    return without(scores, collection.excluded)


def assert_equal_runs(found, expected, abs=1e-6):
    for query_id, scores in expected.items():
        assert found[query_id] == pytest.approx(scores, abs=abs)
    assert found.keys() == {query_id for query_id, scores in expected.items() if scores}


def test_every_kind_of_system_makes_the_run_that_its_engines_make(tmp_path):
    given = tmp_path / "runs"
    given.mkdir()
    write_run({"q1": {"d1": 2.0}, "q2": {"d2": 9.0, "d4": 3.0, "d6": 1.0}}, given / "pony.json")
    names = ["bm25", "bm25-bright", DENSE, "hybrid:minilm", RERANK, f"old=run:{given}", "both=hybrid:run:" + str(given)]
    outcome, engines = run(tmp_path / "out", names, rerank_depth=2, questions=lambda _: QUESTIONS)
    runs = {label: read_run(tmp_path / "out" / label / "pony.trec.gz") for label in outcome.results}
    assert_equal_runs(runs["bm25"], bm25("lucene"))
    assert_equal_runs(runs["bm25-bright"], bm25())
    assert_equal_runs(runs["dense-minilm"], dense())
    # pony's setting by hand: z-scores, .8 dense + .2 BM25
    assert_equal_runs(runs["hybrid-minilm"], interpolate(dense(), bm25(), alpha=0.8, normalise="zscore"))
    firsts = {query_id: [doc_id for doc_id, _ in ranked(scores, 2)] for query_id, scores in bm25().items()}
    overlaps = WordOverlap().score(
        list(QUESTIONS.values()), [[DOCUMENTS[d] for d in firsts[query_id]] for query_id in QUESTIONS]
    )
    expected = {q: dict(zip(firsts[q], map(float, s), strict=True)) for q, s in zip(QUESTIONS, overlaps, strict=True)}
    assert_equal_runs(runs["rerank-reranker"], expected)
    assert runs["old"] == {"q1": {"d1": 2.0}, "q2": {"d4": 3.0, "d6": 1.0}}, "d2 is excluded for q2"
    assert_equal_runs(runs["both"], interpolate(runs["old"], bm25(), alpha=0.8, normalise="zscore"))
    for label, found in runs.items():
        assert outcome.results[label]["pony"] == per_query(found, PONY.qrels, PONY.measures)
    assert outcome.remarks == {"old": {"pony": ["1 of 3 queries missing, scored 0"]}}, "q3 has no list"
    assert (outcome.made, outcome.kept, engines.closed) == (7, 0, 1)


def test_a_first_stage_may_be_a_run_that_is_given(tmp_path):
    """d4 and d6 of q2, not d2, which q2 excludes; no index is made, and of mathematics a hybrid reads no documents at all."""
    given = tmp_path / "runs"
    given.mkdir()
    for task in ("pony", "aops"):
        write_run({"q1": {"d1": 2.0}, "q2": {"d2": 9.0, "d4": 3.0, "d6": 1.0}}, given / f"{task}.txt")
    run(tmp_path / "out", [RERANK], first=f"run:{given}", rerank_depth=2)
    pairs = {"q1": ["d1"], "q2": ["d4", "d6"]}
    scores = WordOverlap().score([QUERIES[q] for q in pairs], [[DOCUMENTS[d] for d in ids] for ids in pairs.values()])
    expected = {q: dict(zip(pairs[q], map(float, row), strict=True)) for q, row in zip(pairs, scores, strict=True)}
    assert_equal_runs(read_run(tmp_path / "out/rerank-reranker/pony.trec.gz"), expected)
    assert not (tmp_path / "out/indexes").exists()
    run(tmp_path / "math", [f"both=hybrid:run:{given}"], [replace(AOPS, documents=None)])
    found = read_run(tmp_path / "math/both/aops.trec.gz")
    assert found["q1"] == {"d1": 2.0} and "q3" not in found


def test_a_first_stage_is_cut_to_the_queries_and_the_depth(tmp_path):
    """x1 is no query of pony, and beyond the second place stand documents that the collection does not have."""
    (tmp_path / "runs").mkdir()
    write_run({"x1": {"d1": 1.0}, "q1": {"d1": 9.0, "d4": 8.0, "gone": 7.0}}, tmp_path / "runs/pony.trec")
    for name in (RERANK, "rerank:biencoder:minilm"):
        run(tmp_path / "out", [f"r={name}"], first=f"run:{tmp_path / 'runs'}", rerank_depth=2)
        found = read_run(tmp_path / "out/r/pony.trec.gz")
        assert {query_id: set(scores) for query_id, scores in found.items()} == {"q1": {"d1", "d4"}}


def test_what_a_later_collection_lacks_is_told_before_any_work(tmp_path):
    (tmp_path / "runs").mkdir()
    write_run({"q1": {"d1": 2.0}}, tmp_path / "runs/pony.trec")
    with pytest.raises(FileNotFoundError, match="holds no run of aops"):
        run(tmp_path / "out", ["bm25", RERANK], [PONY, AOPS], first=f"run:{tmp_path / 'runs'}")
    with pytest.raises(ValueError, match="'bright/aops' comes without documents"):
        run(tmp_path / "out", ["bm25"], [PONY, replace(AOPS, documents=None)])
    assert not (tmp_path / "out").exists()


def test_a_cell_that_fails_is_named_and_the_finished_ones_are_kept(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs/pony.trec"
    path.write_text("")
    names = ["bm25", f"theirs=run:{tmp_path / 'runs'}"]
    with pytest.raises(ValueError) as caught:
        run(tmp_path / "out", names)
    assert str(caught.value).startswith(f"theirs on bright/pony ({path}): the run is empty; ")
    told = f"rader: 1 finished cell is kept in {tmp_path / 'out'}; the same call goes on behind\n"
    assert capsys.readouterr().err == told
    with pytest.raises(
        ValueError, match=r"^rerank-reranker on bright/pony: runs on bright/pony \(.*\): the run is empty"
    ):
        run(tmp_path / "other", [RERANK], first=f"run:{tmp_path / 'runs'}")
    write_run({"q1": {"d1": 2.0}}, path)
    assert run(tmp_path / "out", names)[0].kept == 1


def test_mathematical_tasks_take_the_dense_run_alone(tmp_path):
    """Their published setting is alpha 1 without normalisation, so no BM25 index is made."""
    assert PUBLISHED["bright-hybrid-math"]["alpha"] == 1
    run(tmp_path / "out", ["hybrid:minilm"], [AOPS])
    assert_equal_runs(read_run(tmp_path / "out/hybrid-minilm/aops.trec.gz"), dense(AOPS))
    assert not list((tmp_path / "out/indexes").glob("*/bm25*"))


def test_the_depth_cuts_runs_but_not_what_a_hybrid_mixes(tmp_path):
    run(tmp_path / "out", ["bm25-bright", "hybrid:minilm"], depth=2)
    whole = interpolate(dense(), bm25(), alpha=0.8, normalise="zscore")
    cut = {query_id: dict(ranked(scores, 2)) for query_id, scores in whole.items()}
    assert_equal_runs(read_run(tmp_path / "out/hybrid-minilm/pony.trec.gz"), cut)
    assert_equal_runs(read_run(tmp_path / "out/bm25-bright/pony.trec.gz"), bm25(depth=2))


def test_what_is_finished_is_not_done_again(tmp_path):
    names = ["bm25", DENSE, "hybrid:minilm", RERANK]
    first, engines = run(tmp_path, names, [PONY, AOPS])
    before = files(tmp_path)
    again, idle = run(tmp_path, names, [PONY, AOPS])
    assert again.results == first.results and files(tmp_path) == before
    assert (again.made, again.kept) == (0, 8)
    assert engines.encoded and engines.pairs and not idle.encoded and not idle.pairs
    more, _ = run(tmp_path, [*names, "bm25-bright"], [PONY, AOPS])
    assert (more.made, more.kept) == (2, 8)


def test_documents_are_encoded_once_for_all_systems_and_collections(tmp_path):
    """aops has pony's documents here; each is read once, whatever is dropped in between, and parts are shared."""
    for name, options in {"kept": {}, "dropped": {"drop_indexes": True}}.items():
        systems = ["hybrid:minilm", DENSE, RERANK]
        _, engines = run(tmp_path / name, systems, [PONY, AOPS], first="dense-minilm", **options)
        assert sum(text in DOCUMENTS.values() for text in engines.encoded) == len(DOCUMENTS)
        assert (tmp_path / name / "indexes").exists() == (name == "kept")
        assert os.listdir(tmp_path / name / "parts") == [
            folder for folder in os.listdir(tmp_path / name / "parts") if folder.startswith("bm25-bright-1000-")
        ], "the dense run is that of the system asked for"


def test_indexes_of_a_corpus_go_when_the_next_one_comes(tmp_path):
    held = []

    def other():
        held.append([path.name.partition("-")[0] for path in (tmp_path / "indexes").iterdir()])
        return iter([*DOCUMENTS.items(), ("d8", "another text")])

    run(tmp_path, ["bm25", DENSE], [PONY, replace(AOPS, documents=other)], drop_indexes=True)
    assert held[0] == ["pony"] and set(map(tuple, held[1:])) <= {(), ("aops",)}
    assert not (tmp_path / "indexes").exists()
    with pytest.raises(ValueError, match="indexes kept in x are not dropped"):
        run(tmp_path, ["bm25"], indexes="x", drop_indexes=True)


def test_indexes_elsewhere_serve_other_folders_and_other_queries(tmp_path):
    _, engines = run(tmp_path / "a", [DENSE], indexes=tmp_path / "i")
    reasons = replace(PONY, queries={query_id: f"because {text}" for query_id, text in QUERIES.items()})
    _, again = run(tmp_path / "b", [DENSE], [reasons], indexes=tmp_path / "i")
    assert set(DOCUMENTS.values()) < set(engines.encoded)
    assert again.encoded == [f"Find:  because {text}" for text in QUERIES.values()]


CHANGES = {
    "a query": dict(collections=[replace(PONY, queries=QUERIES | {"q1": "a product"})]),
    "a judgement": dict(collections=[replace(PONY, qrels=PONY.qrels | {"q1": {"d4": 1}})]),
    "an exclusion": dict(collections=[replace(PONY, excluded={"q1": frozenset({"d1"})})]),
    "the documents": dict(collections=[replace(PONY, corpus=lambda: "of another day")]),
    "the version": dict(collections=[replace(PONY, version="corrected")]),
    "the depth": dict(depth=2),
}
ONLY_FOR = {
    "the checkpoint": dict(names=[f"dense-minilm={DENSE.replace('minilm', 'mini-retriever')}"]),
    "the instruction": dict(names=[DENSE], collections=[replace(PONY, instruction="Other: ")]),
    "the first stage": dict(names=[RERANK], first="bm25"),
    "what is reranked": dict(names=[RERANK], rerank_depth=1),
    "the questions": dict(names=[RERANK], questions=lambda _: QUESTIONS),
}


@pytest.mark.parametrize("change", [*CHANGES, *ONLY_FOR])
def test_a_change_is_never_answered_from_what_was_there(tmp_path, change):
    options = {"names": ["bm25", DENSE, RERANK], **CHANGES.get(change, ONLY_FOR.get(change, {}))}
    names, collections = options.pop("names"), options.pop("collections", [PONY])
    unchanged = [DENSE if name.startswith("dense") else name for name in names]
    run(tmp_path / "out", unchanged, rerank_depth=5)
    options.setdefault("rerank_depth", 5)
    outcome, _ = run(tmp_path / "out", names, collections, **options)
    fresh, _ = run(tmp_path / "fresh", names, collections, **options)
    assert outcome.results == fresh.results
    assert outcome.made == len(names), "every cell depends on it"
    for name in files(tmp_path / "fresh"):
        if "/pony" in f"/{name}" and not name.startswith(("indexes", "parts")):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes(), name


def test_a_run_that_is_given_is_read_again_when_it_changes(tmp_path):
    given = tmp_path / "runs"
    given.mkdir()
    write_run({"q1": {"d1": 2.0, "d4": 1.0}}, given / "pony.trec.gz")
    assert run(tmp_path / "out", [f"run:{given}"])[0].results["runs"]["pony"]["R@2"]["q1"] == 0.5
    assert run(tmp_path / "out", [f"run:{given}"])[0].kept == 1
    write_run({"q1": {"d1": 2.0, "d5": 1.0}}, given / "pony.trec.gz")
    outcome, _ = run(tmp_path / "out", [f"run:{given}"])
    assert outcome.made == 1 and outcome.results["runs"]["pony"]["R@2"]["q1"] == 1.0


def test_other_measures_are_taken_of_the_run_that_is_there(tmp_path):
    run(tmp_path, [RERANK])
    outcome, engines = run(tmp_path, [RERANK], measures=["P@1", "RR@10"])
    assert outcome.kept == 1 and not engines.pairs
    assert outcome.results["rerank-reranker"]["pony"] == per_query(
        read_run(tmp_path / "rerank-reranker/pony.trec.gz"), PONY.qrels, "P@1 RR@10"
    )


TOUCHES = frozenset({"open", "mkdir", "write", "flush", "fsync", "truncate", "replace", "unlink", "rmdir"})
KILLED = ["bm25", DENSE, "hybrid:minilm", RERANK]


def whole_and_visible(folder: Path) -> dict[str, bytes]:
    """All that is kept: what a kill -9 leaves half-written begins with a dot, and is never read."""
    kept = files(folder)
    return {name: data for name, data in kept.items() if not any(part.startswith(".") for part in Path(name).parts)}


@pytest.mark.parametrize(("start", "growth"), [(1, 1.5), (7, 1.17)])
def test_killed_again_and_again(tmp_path, start, growth):
    """Each call on the folder is killed later than the one before: at indexes, runs, figures, and their taking place."""
    run(tmp_path / "whole", KILLED, [PONY, AOPS])
    out, moment, kills = tmp_path / "out", start, 0

    def work():
        run(out, KILLED, [PONY, AOPS])

    while killed_at(moment, work, lambda function: function.__name__ in TOUCHES):
        moment, kills = int(moment * growth) + 1, kills + 1
    assert kills > 6
    assert whole_and_visible(out) == whole_and_visible(tmp_path / "whole")


@pytest.mark.parametrize("touch", ["replace", "fsync", "unlink"])
def test_killed_at_every_touch_of_one_kind(tmp_path, touch):
    """Before a finished run, figures or a group of pairs takes its place: scored pairs are never asked for twice."""
    run(tmp_path / "whole", [RERANK])
    out, moment = tmp_path / "out", 1

    def work():
        run(out, [RERANK])

    while killed_at(moment, work, lambda function: function.__name__ == touch):
        moment += 1
        _, engines = run(out, [RERANK])
        if (touch, moment) == ("unlink", 2):
            assert not engines.pairs, "the reranked run was whole, only its cell was not"
        assert whole_and_visible(out) == whole_and_visible(tmp_path / "whole")
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    assert moment > 1


@pytest.mark.parametrize("spoilt", ["bm25/pony.trec.gz", "bm25/pony.figures.json"])
def test_a_damaged_cell_is_made_anew_with_a_word_about_it(tmp_path, capsys, spoilt):
    run(tmp_path, ["bm25", "x=bm25-bright"])
    whole, path = files(tmp_path), tmp_path / spoilt
    path.write_bytes(path.read_bytes()[:-9])
    outcome, _ = run(tmp_path, ["bm25", "x=bm25-bright"])
    assert (outcome.made, outcome.kept) == (1, 1) and files(tmp_path) == whole
    assert capsys.readouterr().err == f"rader: {path} is damaged or was changed by hand; it is made anew\n"


def test_a_damaged_bm25_index_is_made_anew(tmp_path, capsys):
    run(tmp_path / "first", ["bm25"], indexes=tmp_path / "shared")
    (folder,) = (tmp_path / "shared").glob("pony-*/bm25-lucene")
    for path in folder.glob("*.npy"):
        path.write_bytes(b"")
    run(tmp_path / "second", ["bm25"], indexes=tmp_path / "shared")
    assert f"{folder} is damaged; it is made anew" in capsys.readouterr().err
    assert_equal_runs(read_run(tmp_path / "second/bm25/pony.trec.gz"), bm25("lucene"))
    assert next(iter(folder.glob("*.npy"))).stat().st_size


def test_an_index_that_another_call_made_meanwhile_stays(tmp_path):
    """The corpus is opened twice, for its digest and for the index; before the second time the index is put in place."""
    opened = []

    def documents():
        opened.append(1)
        if len(opened) == 2:
            run(tmp_path / "other", ["bm25"], indexes=tmp_path / "shared")
        return iter(DOCUMENTS.items())

    run(tmp_path / "out", ["bm25"], [replace(PONY, documents=documents)], indexes=tmp_path / "shared")
    assert_equal_runs(read_run(tmp_path / "out/bm25/pony.trec.gz"), bm25("lucene"))
    assert len(opened) == 2 and len(list((tmp_path / "shared").glob("pony-*/*"))) == 1


def test_a_cell_whose_run_took_no_place_is_finished_without_its_engine(tmp_path):
    """The state between the run's last byte and its figures, which costs a rerank nothing."""
    run(tmp_path, [RERANK])
    folder = tmp_path / "rerank-reranker"
    cell = Cell(folder, PONY, json.loads((folder / "pony.figures.json").read_text())["key"])
    os.replace(folder / "pony.trec.gz", cell._work)
    assert not cell.finished()
    _, engines = run(tmp_path, [RERANK])
    assert cell.finished() and not engines.pairs


def test_bad_names_are_told(tmp_path):
    for name in ("runs", "parts"):
        (tmp_path / name).mkdir()
    for names, complaint in {
        ("bm26",): "system 'bm26' is unknown; give one of bm25, bm25-bright, dense:CHECKPOINT",
        ("dense:",): "system 'dense:' is unknown",
        ("dense:nothing",): "checkpoint 'nothing' is unknown",
        ("rerank:rader",): "system 'rerank:rader' is unknown",
        ("rerank:other:minilm",): "reranker 'other' is unknown; choose 'rader', 'biencoder'",
        ("bm25", "bm25"): "two systems are called 'bm25'; put another LABEL=",
        ("indexes=bm25",): "label 'indexes' cannot name a folder here",
        ("report=bm25",): "label 'report' cannot name a folder here; put another LABEL= before it",
        ("report-pony=bm25",): "label 'report-pony' cannot name a folder here",
        (f"run:{tmp_path / 'parts'}",): "label 'parts' cannot name a folder here; put another LABEL= before it",
        ("a/b=bm25",): "label 'a/b' cannot name a folder here",
        (): "no system given",
    }.items():
        with pytest.raises(ValueError, match=complaint):
            parse(list(names))
    with pytest.raises(ValueError, match=r"first stage 'rerank:rader:minilm' is a reranker itself"):
        parse([RERANK], first="rerank:rader:minilm")
    with pytest.raises(
        ValueError, match=r"first stage of rerankers \(--first\): system 'foo' is unknown; .* or the LABEL"
    ):
        parse([RERANK], first="foo")
    with pytest.raises(FileNotFoundError, match="run:nowhere names no folder"):
        parse(["run:nowhere"])
    with pytest.raises(FileNotFoundError, match=r"holds no run of pony; expected pony\.trec"):
        run(tmp_path, [f"run:{tmp_path / 'runs'}"])


def test_labels_revisions_and_first_stages_are_read_from_names(tmp_path):
    systems = parse(["x=dense:org/name@abc", "hybrid:minilm", "rerank:biencoder:minilm"], first="x")
    assert [system.label for system in systems] == ["x", "hybrid-minilm", "rerank-minilm"]
    assert (systems[0].checkpoint, systems[0].revision) == ("org/name", "abc")
    assert systems[2].parts == (systems[0],)
    assert [part.label for part in systems[1].parts] == ["dense-minilm", "bm25-bright"]
    assert parse([RERANK])[0].parts[0].kind == "bm25-bright"
    (tmp_path / "a=b@c").mkdir()
    (named,) = parse([f"run:{tmp_path / 'a=b@c'}"])
    assert (named.label, named.folder) == ("a=b@c", str(tmp_path / "a=b@c"))
    told = [system.told() for system in parse(["hybrid:minilm@1a2b", "bm25", f"x=run:{tmp_path}"])]
    assert told == ["hybrid of dense:minilm@1a2b and bm25-bright", "bm25", f"run:{tmp_path}"]


def test_copied_runs_carry_their_label(tmp_path):
    (tmp_path / "given").mkdir()
    write_run({"q1": {"d1": 1.0}}, tmp_path / "given/pony.trec", tag="theirs")
    run(tmp_path / "out", [f"My run=run:{tmp_path / 'given'}"])
    assert gzip.decompress((tmp_path / "out/My run/pony.trec.gz").read_bytes()) == b"q1 Q0 d1 1 1.0 My_run\n"


def test_bad_collections_are_told(tmp_path):
    bare = replace(PONY, documents=None)
    for name in ("bm25", DENSE, RERANK):
        with pytest.raises(ValueError, match="collection 'bright/pony' comes without documents"):
            run(tmp_path / name.replace("/", "-"), [name], [bare])
    with pytest.raises(ValueError, match="two collections are called pony"):
        run(tmp_path, ["bm25"], [PONY, replace(PONY, name="other/pony")])


def test_figures_say_what_they_depend_on(tmp_path):
    run(tmp_path, [DENSE])
    figures = json.loads((tmp_path / "dense-minilm/pony.figures.json").read_text())
    assert figures["key"] == {
        "collection": "bright/pony",
        "content": PONY.key(),
        "version": "as made up",
        "kind": "dense",
        "model": {"checkpoint": "minilm", "instruction": "Find: "},
        "depth": 1000,
    }
    assert figures["means"]["R@2"] == pytest.approx(np.mean(list(figures["values"]["R@2"].values())))
