"""The benchmark of IDCM on a made-up collection: its first row is the standard, its shares follow from the documents' windows."""

import gzip
import json

import pytest

from rader_ir.rerank.idcm import IDCM
from tests import tiny
from tests.benchmarks import idcm_quality
from tests.idcm_folder import text

pytestmark = pytest.mark.usefixtures("one_thread")
QUERIES = {"q1": "law of large numbers", "q2": "odd cycle"}


@pytest.fixture
def data(tmp_path):
    """A collection laid out as scifact, with documents of 10 to 335 words."""
    folder = tmp_path / "data" / "scifact"
    (folder / "qrels").mkdir(parents=True)
    with gzip.open(folder / "corpus.jsonl.gz", "wt") as file:
        for i in range(14):
            file.write(json.dumps({"doc_id": f"d{i}", "text": text(10 + 25 * i, i)}) + "\n")
    for name, more in (("test", ""), ("train", " of sets")):
        records = [json.dumps({"query_id": f"{name}-{key}", "text": words + more}) for key, words in QUERIES.items()]
        (folder / f"queries.{name}.jsonl").write_text("\n".join(records) + "\n")
    rows = [f"test-{key}\t0\td{place}\t1\n" for place, key in enumerate(QUERIES)]
    (folder / "qrels" / "test.tsv").write_text("".join(rows))
    return tmp_path / "data"


def test_rows(data, tmp_path):
    strong = tiny.bert(tmp_path / "strong", labels=1)
    words = ["--data", str(data), "--strong", str(strong), "--depth", "14", "--epochs", "1", "--training", "2"]
    setting = idcm_quality.SETTINGS[0]
    made = list(idcm_quality.rows(setting, data, tmp_path, idcm_quality.parsed(words)))
    assert [(row["k"], row["queries"]) for row in made] == [("all", 2), (2, 2), (4, 2)]
    assert made[0]["difference"] == 0 and made[0]["share of windows"] == 1
    log = [json.loads(line) for line in (tmp_path / "scifact-ndcg2" / "training" / "log.jsonl").open()]
    best = max(line["dev_recall"] for line in log if "dev_recall" in line)
    assert [row["recall"] for row in made] == [None, best, best]
    for row in made[1:]:
        assert row["nDCG@10"] - made[0]["nDCG@10"] == pytest.approx(row["difference"], abs=1e-9)
    # of each document of a run the strong model reads at most k windows
    assert 0 < made[1]["share of windows"] < made[2]["share of windows"] < 1


def test_what_is_kept_gives_the_same_rows_again_and_for_other_losses(data, tmp_path):
    """But for seconds; also behind a line that a kill cut short."""
    strong = tiny.bert(tmp_path / "strong", labels=1)
    words = ["--strong", str(strong), "--depth", "14", "--epochs", "1", "--training", "2"]
    setting, made = idcm_quality.SETTINGS[0], []
    for more in ([], ["--keep"], ["--keep", "--loss", "ndcg2", "ranknet"]):
        rows = list(idcm_quality.rows(setting, data, tmp_path, idcm_quality.parsed([*words, *more])))
        made.append([{key: value for key, value in row.items() if key != "seconds"} for row in rows])
        kept = tmp_path / "scifact.windows.jsonl"
        if "ranknet" not in more and more:
            count = len(kept.read_text().splitlines())
            assert {row["seconds"] for row in rows} == {None} and count > 14
            kept.write_bytes(kept.read_bytes()[:-9])
    for first, *others in zip(made[0], made[1], made[2][:3], strict=True):
        assert others == [pytest.approx(first)] * 2
    assert [(row["loss"], row["k"]) for row in made[2][3:]] == [("ranknet", 2), ("ranknet", 4)]
    assert len(kept.read_text().splitlines()) == count + 1  # the torn one, and it again


def test_shares_by_hand(data, tmp_path):
    """Two documents of 1 and 3 windows of 64 tokens; k = 2 reads 1 + 2 of them."""
    strong = tiny.bert(tmp_path / "strong", labels=1)
    options = idcm_quality.parsed(["--strong", str(strong), "--epochs", "1", "--training", "2"])
    list(idcm_quality.rows(idcm_quality.SETTINGS[0], data, tmp_path, options))
    reranker = IDCM(tmp_path / "scifact-ndcg2", passages=2)
    texts = {
        "short": "the law of large numbers",
        "long": "the law of large numbers " * 36,
    }  # 180 words of one token each
    [readings] = reranker.read(["law"], [list(texts.values())])
    assert [reading.total for reading in readings] == [1, 3]
    _, share, _ = idcm_quality.reranked(reranker, {"q": "law"}, {"q": dict.fromkeys(texts, 1.0)}, texts)
    assert share == 3 / 4


def test_queries_in_batches_give_the_same_run(data, tmp_path, monkeypatch):
    strong = tiny.bert(tmp_path / "strong", labels=1)
    options = idcm_quality.parsed(["--strong", str(strong), "--epochs", "1", "--training", "2"])
    list(idcm_quality.rows(idcm_quality.SETTINGS[0], data, tmp_path, options))
    reranker, texts = IDCM(tmp_path / "scifact-ndcg2", passages=2), idcm_quality.documents(data / "scifact")
    queries = {f"q{i}": f"law of {word}" for i, word in enumerate(("sets", "fields", "cones"))}
    candidates = {
        query_id: dict.fromkeys(list(texts)[place : place + 5], 1.0) for place, query_id in enumerate(queries)
    }
    whole, share, _ = idcm_quality.reranked(reranker, queries, candidates, texts)
    monkeypatch.setattr(idcm_quality, "AT_ONCE", 2)
    again, same, _ = idcm_quality.reranked(reranker, queries, candidates, texts)
    assert again == {query_id: pytest.approx(scores) for query_id, scores in whole.items()} and same == share
    assert {query_id: [*scores] for query_id, scores in again.items()} == {i: [*docs] for i, docs in candidates.items()}


def test_nothing_is_learned_from_what_is_measured(data, tmp_path):
    path = data / "scifact" / "queries.train.jsonl"
    path.write_text((data / "scifact" / "queries.test.jsonl").read_text())
    strong = tiny.bert(tmp_path / "strong", labels=1)
    with pytest.raises(ValueError, match="no examples"):
        list(
            idcm_quality.rows(idcm_quality.SETTINGS[0], data, tmp_path, idcm_quality.parsed(["--strong", str(strong)]))
        )


def test_lessons_texts(tmp_path):
    segments = [{"text": "one"}, {"image": "x.png", "caption": "two"}, {"missing_image": "y", "alt": "three"}]
    sections = [{"heading": "", "segments": segments[:1]}, {"heading": "more", "segments": segments[1:]}]
    record = {"doc_id": "a", "title": "what", "sections": sections}
    (tmp_path / "documents.jsonl").write_text(json.dumps(record) + "\n")
    assert idcm_quality.documents(tmp_path) == {"a": "what\none\nmore\ntwo"}
    record["sections"] += [{"heading": heading, "segments": []} for heading in ("what is this", "part 1", "part 1")]
    (tmp_path / "documents.jsonl").write_text(json.dumps(record) + "\n")
    (tmp_path / "images.jsonl").write_text(json.dumps({"query_id": "i", "text": "a tree"}) + "\n")
    assert sorted(idcm_quality.training_queries(tmp_path, "images.jsonl").values()) == ["a tree", "what is this"]
