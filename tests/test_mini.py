"""The mini checkpoints' recipe: what is kept apart, what a teacher says, and a run of both from a folder of sources."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rader_ir.checkpoints import MINI_RERANKER, MINI_RETRIEVER
from rader_ir.cli import main
from rader_ir.encoder import Encoder
from rader_ir.train.memory import MemoryGroups
from rader_ir.train.mini import RECIPES, RETRIEVER_OPTIONS, train_mini
from rader_ir.train.mini_examples import GROUP, candidates, dev_examples, reranker_examples, retriever_examples
from rader_ir.train.mini_sources import DEV, Query, Task, pieces, read_tasks, short_texts
from rader_ir.train.teacher import DENSE, WORDS, Vectors, standardised, view
from rader_ir.weights import weights_id
from tests import mini_folder
from tests.toy_training import broken_off

COUNT = 20


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return mini_folder.make(tmp_path_factory.mktemp("sources"), COUNT)


@pytest.fixture(scope="module")
def vectors():
    return Vectors(Encoder("minilm"))


def test_tasks_and_their_split(sources):
    train, dev = read_tasks(sources)
    counts = {task.name: len(task.queries) for task in train}
    learned = COUNT - round(DEV * COUNT)
    assert counts["stacks"] == counts["stacks-cot"] == counts["scifact"] == counts["gsm8k"] == counts["aqua"] == learned
    assert {task.name: len(task.queries) for task in dev} == dict.fromkeys(("stacks", "scifact", "gsm8k", "aqua"), 2)
    by_name = {task.name: task for task in train}
    first = by_name["stacks"].queries[0]
    assert first.excluded == (first.query_id.removeprefix("stacks-"),) and first.solution.startswith(first.text)
    begun = by_name["stacks-cot"].queries[0]
    assert begun.question == first.text and begun.text.startswith(first.text) and len(begun.text) < len(first.solution)
    step = by_name["stacks-steps"].queries[0]
    assert "[ref]" in step.text and step.relevant == first.relevant
    assert "<<" not in "".join(by_name["gsm8k"].docs.values()) and "####" not in "".join(by_name["gsm8k"].docs.values())
    assert read_tasks(sources, seed=0) == (train, dev)
    assert read_tasks(sources, seed=1)[1] != dev


def test_nothing_of_a_test_or_development_query_is_learned(sources):
    train, dev = read_tasks(sources, seed=3)
    held = {query.text for task in dev for query in task.queries}
    tested = {mini_folder._text(i) for i in range(COUNT, COUNT + 3)}
    tested |= {f"The {mini_folder.topic(i)} lowers pressure." for i in range(COUNT, COUNT + 3)}
    asked = [query for task in train for query in task.queries]
    assert all(not query.text.startswith(tuple(held | tested)) for query in asked)
    assert {query.question for query in asked}.isdisjoint(held | tested)
    apart = {doc_id for task in dev if task.name == "stacks" for query in task.queries for doc_id in query.excluded}
    apart |= {f"S{i}" for i in range(COUNT, COUNT + 3)}
    by_name = {task.name: task for task in train}
    assert apart.isdisjoint(doc_id for query in by_name["stacks-names"].queries for doc_id in query.relevant)
    cited = {doc_id for query in dev[1].queries for doc_id in query.relevant} | {
        f"A{i}" for i in range(COUNT, COUNT + 3)
    }
    assert cited.isdisjoint(doc_id for query in by_name["scifact-titles"].queries for doc_id in query.relevant)
    short = {text for task in short_texts(sources, train, dev, 3) for text in task.docs.values()}
    assert short and short.isdisjoint(piece for text in held | tested for piece in pieces(text))
    assert short & {piece for query in by_name["stacks"].queries for piece in pieces(query.text)}
    assert not any(
        mini_folder.topic(int(doc_id[1:])) in text for doc_id in cited for text in short if "pressure" in text
    )


def test_a_query_that_states_what_a_test_query_states_is_left_out(tmp_path):
    folder = mini_folder.make(tmp_path, COUNT)
    tested = json.loads((folder / "scifact" / "queries.test.jsonl").read_text().splitlines()[0])["text"]
    path = folder / "scifact" / "queries.train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for seed in range(3):
        _, dev = read_tasks(folder, seed)
        held = next(query.text for query in dev[1].queries)
        place = next(i for i, record in enumerate(records) if record["text"] != held)
        for text in (tested.upper(), held.replace(".", "")):
            changed = [{**record, "text": text} if i == place else record for i, record in enumerate(records)]
            mini_folder.write(path, changed)
            learned = {query.text for task in read_tasks(folder, seed)[0] for query in task.queries}
            assert text not in learned and len(learned) > COUNT
        mini_folder.write(path, records)


def test_a_folder_without_its_sources_says_what_makes_them(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"lacks 13 of 13 files, first stacks_theorems/corpus.*mini_data\.py DIR"
    ):
        read_tasks(tmp_path)


def test_views_by_hand(vectors):
    assert standardised(np.array([[1.0, 2, 3], [5, 5, 5]])).tolist() == pytest.approx(
        np.array([[-(1.5**0.5), 0, 1.5**0.5], [0, 0, 0]])
    )
    docs = {"a": "a ring is a group", "b": "cats sleep", "c": "rings and rings"}
    words = view(WORDS, vectors, ["what is a ring", "nothing here"], docs)
    assert words.argmax(axis=1)[0] == 2 and words[0, 1] == words[0].min() and not words[1].any()
    dense = view(DENSE, vectors, ["animals at night"], docs)
    assert (
        dense.argmax() == 1 and dense.mean() == pytest.approx(0, abs=1e-6) and dense.std() == pytest.approx(1, abs=1e-5)
    )
    with pytest.raises(ValueError, match="a view of kind 'sound' is unknown"):
        view("sound", vectors, ["a"], docs)


def test_examples_hold_what_the_teacher_says(sources, vectors):
    train, dev = read_tasks(sources)
    by_source: dict[str, list] = {}
    for example in retriever_examples(train, vectors):
        by_source.setdefault(example.provenance["source"], []).append(example)
    for name, examples in by_source.items():
        scored = name not in ("scifact", "scifact-titles", "stacks-names")
        for example in examples:
            passages = (*example.positives, *example.negatives)
            assert all((passage.score is not None) == scored for passage in passages)
            assert {p.doc_id for p in example.negatives}.isdisjoint(example.provenance.get("excluded_ids", ()))
    best = [example.positives[0].score > example.negatives[0].score for example in by_source["stacks"]]
    assert np.mean(best) > 0.5  # a proof that names a result in its own words leads to it
    held, docs = dev_examples(dev)
    assert {passage.doc_id for example in held for passage in example.positives} <= {doc_id for doc_id, _ in docs}
    assert all(example.provenance.get("excluded_ids", ["stacks/"])[0].startswith("stacks/") for example in held)


def test_a_reranker_reads_candidates_from_near_and_far(vectors):
    docs = {f"d{i}": f"{mini_folder.topic(i)} " * 100 for i in range(30)}
    known = Query("known", mini_folder.topic(4) * 80, ("d9",), ("d4",))
    guessed = Query("guessed", mini_folder.topic(7), (), ("d8",))
    first, second = reranker_examples([Task("t", docs, [known, guessed])], vectors, seed=0)
    assert [passage.doc_id for passage in first.positives] == ["d9"]
    assert [passage.doc_id for passage in second.positives] == ["d7"]  # the teacher's best
    assert second.positives[0].score > max(passage.score for passage in second.negatives)
    for example, barred in ((first, {"d4", "d9"}), (second, {"d8", "d7"})):
        assert len(example.negatives) == sum(GROUP.values())
        assert barred.isdisjoint(passage.doc_id for passage in example.negatives)
    assert len(first.query) <= 300 and all(len(passage.text) <= 450 for passage in first.negatives)
    lists = candidates([Task("t", docs, [Query("q", mini_folder.topic(3), ("d3",)), Query("r", "elsewhere", ("d5",))])])
    assert [example.query_id for example in lists] == ["q"]
    assert lists[0].positives[0].doc_id == "t/d3"


def test_one_command_trains_both(sources, tmp_path):
    words = [
        "train",
        "mini",
        "--data",
        str(sources),
        "--out",
        str(tmp_path / "made"),
        "--max-steps",
        "2",
        "--seed",
        "5",
    ]
    assert main([*words, "--json", str(tmp_path / "told.json"), "--quiet"]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert told[f"{MINI_RETRIEVER} steps"] == told[f"{MINI_RERANKER} steps"] == 2
    vectors = Encoder(tmp_path / "made" / MINI_RETRIEVER).encode_queries(["a ring"])
    assert vectors.shape == (1, 384) and not np.allclose(
        vectors, Encoder("minilm").encode_queries(["a ring"]), atol=1e-7
    )
    card = json.loads((tmp_path / "made" / MINI_RERANKER / "training" / "run_card.json").read_text())
    assert card["options"]["seed"] == 5
    before = (tmp_path / "made" / MINI_RETRIEVER / "adapter_model.safetensors").stat().st_mtime_ns
    folders = [tmp_path / "made" / name for name in (MINI_RETRIEVER, MINI_RERANKER)]
    (scored,) = (tmp_path / "made").glob(f"{MINI_RERANKER}.examples.5.*.jsonl.gz")
    assert weights_id(folders[0]) in scored.name  # by this teacher, so a new one scores anew
    assert train_mini(sources, tmp_path / "made", seed=5, max_steps=2) == folders
    assert (tmp_path / "made" / MINI_RETRIEVER / "adapter_model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="mini-retriever exists and was made in another way"):
        train_mini(sources, tmp_path / "made", seed=6, max_steps=2)
    told = (folders[0] / "README.md").read_text()
    assert "GFDL 1.2" in told and "`rader train mini --data DIR --seed 5`" in told
    with pytest.raises(FileNotFoundError, match="the reranker's teacher; make both"):
        train_mini(sources, tmp_path / "other", only=MINI_RERANKER)
    with pytest.raises(ValueError, match="there is no mini checkpoint 'mini'; choose"):
        train_mini(sources, tmp_path, only="mini")


def test_a_call_that_was_broken_off_goes_on_with_the_same_examples(sources, tmp_path, monkeypatch):
    """The teacher's scores are read again, not made again: with others the unfinished run would be refused."""
    given = {"only": MINI_RETRIEVER, "max_steps": 3}
    monkeypatch.setitem(RECIPES, MINI_RETRIEVER, replace(RETRIEVER_OPTIONS, save_steps=1, eval_steps=9))
    monkeypatch.setattr("rader_ir.train.mini.RETRIEVER_OPTIONS", RECIPES[MINI_RETRIEVER])
    (unbroken,) = train_mini(sources, tmp_path / "unbroken", **given)
    with broken_off(MemoryGroups, batch=3):
        train_mini(sources, tmp_path / "made", **given)
    monkeypatch.setattr("rader_ir.train.mini.retriever_examples", None)
    (resumed,) = train_mini(sources, tmp_path / "made", **given)
    one, other = (load_file(folder / "adapter_model.safetensors") for folder in (unbroken, resumed))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mini"], "rader train mini needs --data"),
        (["retriever"], "rader train retriever needs --config"),
        (["mini", "--data", "d", "--config", "x"], "--config is not for rader train mini"),
        (["reranker", "--config", "x", "--seed", "1"], "--seed is not for rader train reranker"),
    ],
)
def test_options_of_another_kind_are_refused(words, told, capsys):
    assert main(["train", *words]) == 2
    assert told in capsys.readouterr().err
