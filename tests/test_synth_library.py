"""The library of a synthesis: searches against their indexes, summaries against a server that counts what it is asked."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("aiohttp")

from rader_ir.bm25 import BM25
from rader_ir.index import Index
from rader_ir.index_writer import build_index
from rader_ir.prompts import load_prompts
from rader_ir.synth.library import Library
from rader_ir.synth.retrieval import DenseSearch, SparseSearch
from rader_ir.synth.summaries import STAND_IN, Summary, stated
from tests.lm_server import Fault, LMServer
from tests.synth_cases import DOCUMENTS, last_part, noun, running, script, seed_by_hand
from tests.toy_index import Toy, vector

SUMMARY = script({"summary": lambda body: f"Sum - {noun(last_part(body, 'Theorem'))}"})


def nothing(texts, k):
    """A search that finds nothing."""
    return [[] for _ in texts]


def searched(search, *jobs: tuple[str, int], documents=DOCUMENTS, **options) -> list:
    """What a library finds for jobs that are asked side by side."""

    async def run():
        async with Library(documents, search, **options) as library:
            return await asyncio.gather(*(library.search(text, k) for text, k in jobs))

    return asyncio.run(run())


def test_bm25_finds_what_its_index_finds():
    index = BM25.build(DOCUMENTS.items())
    found = searched(SparseSearch(index), ("sum of dogs", 3), ("bees or cats", 2), ("dogs", 9), ("unknown", 3))
    queries = {"a": ("sum of dogs", 3), "b": ("bees or cats", 2), "c": ("dogs", 9), "d": ("unknown", 3)}
    expected = [list(index.retrieve({name: text}, depth=k)[name].items()) for name, (text, k) in queries.items()]
    assert found == expected
    assert [doc_id for doc_id, _ in found[1]] == ["d2", "d3"] and found[2][0][0] == "d4" and found[3] == []


def test_searches_that_come_together_are_done_together():
    batches = []

    def search(texts, k):
        batches.append((sorted(texts), k))
        return [[(f"d{1 + int(text) % 6}", float(k))] for text in texts]

    jobs = [(str(n), 1 + n % 2) for n in range(40)] + [("0", 1)]
    found = searched(search, *jobs)
    assert found == [[(f"d{1 + int(text) % 6}", float(k))] for text, k in jobs]
    assert batches == [(sorted({text for text, k in jobs if k == depth}), depth) for depth in (1, 2)]  # "0" once


def test_a_batch_is_no_larger_than_wished():
    sizes = []
    searched(lambda texts, k: sizes.append(len(texts)) or nothing(texts, k), *[(str(n), 5) for n in range(10)], batch=4)
    assert sizes == [4, 4, 2]


def test_best_first_ties_by_id_and_no_more_than_k():
    hits = [("d5", 1.0), ("d4", 2.0), ("d2", 1.0), ("d3", 1.0)]
    assert searched(lambda texts, k: [hits for _ in texts], ("x", 3)) == [[("d4", 2.0), ("d2", 1.0), ("d3", 1.0)]]


@pytest.mark.parametrize(
    ("search", "told"),
    [
        (lambda texts, k: [[("d9", 1.0)]], "found 'd9', which is none of the 6 documents"),
        (lambda texts, k: [[("d1", float("nan"))]], "gave 'd1' the score nan"),
        (lambda texts, k: [], "gave 0 lists for 1 texts"),
    ],
)
def test_a_search_that_is_at_fault_is_told(search, told):
    with pytest.raises(ValueError, match=told):
        searched(search, ("x", 3))


@pytest.fixture
def index(tmp_path) -> Index:
    build_index(tmp_path / "index", DOCUMENTS.items(), Toy())
    return Index(tmp_path / "index")


class Batchy(Toy):
    """An encoder of which a query's vector depends plainly on what is encoded with it, where a real one's last digits do."""

    def encode_queries(self, texts, instructions=None) -> np.ndarray:
        return super().encode_queries(texts) + vector("\n".join(texts), self.dimension)


def test_a_dense_search_finds_the_nearest(index):
    texts = ["apples", "text", DOCUMENTS["d3"]]
    found = searched(DenseSearch(index, Toy()), *((text, 4) for text in texts))
    for text, hits in zip(texts, found, strict=True):
        products = {doc_id: float(vector(text, 12) @ vector(told, 12)) for doc_id, told in DOCUMENTS.items()}
        nearest = sorted(products, key=products.get, reverse=True)[:4]
        assert [doc_id for doc_id, _ in hits] == nearest
        assert [score for _, score in hits] == pytest.approx([products[doc_id] for doc_id in nearest], abs=1e-6)


def test_what_a_dense_search_finds_does_not_depend_on_what_else_is_asked(index):
    def alone_and_among_others(search):
        return searched(search, ("apples", 6))[0], searched(search, ("bees", 6), ("apples", 6), ("cats", 6))[1]

    alone, among = alone_and_among_others(DenseSearch(index, Batchy()))
    assert alone == among
    alone, among = alone_and_among_others(DenseSearch(index, Batchy(), together=True))
    assert alone != among  # so the encoder would have shown it


def test_a_dense_search_refuses_another_encoder(index):
    with pytest.raises(ValueError, match="made by another encoder"):
        DenseSearch(index, Toy(pooling="last"))


def test_names_tell_searches_apart(index):
    sparse = [SparseSearch(BM25.build(DOCUMENTS.items(), k1=k1)) for k1 in (0.9, 1.2)]
    names = [Library(DOCUMENTS, search).name for search in (*sparse, DenseSearch(index, Toy()), nothing)]
    assert names[0] == "bm25 variant=lucene k1=0.9 b=0.4" and names[3] == "nothing" and len(set(names)) == 4


def test_the_digest_is_that_of_the_documents():
    same = Library(dict(reversed(DOCUMENTS.items())), nothing).digest
    other = Library({**DOCUMENTS, "d1": "another"}, nothing).digest
    assert Library(DOCUMENTS, nothing).digest == same != other


def test_bad_libraries():
    with pytest.raises(ValueError, match="0 documents"):
        Library({}, nothing)
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(Library(DOCUMENTS, nothing).search("x", 1))


def test_a_statement_is_cut_at_its_proof_and_between_words():
    assert stated("Let it be.\n\\begin{proof} Trivial. \\end{proof}", 100) == "Let it be."
    assert stated("\\begin{proof} Trivial. \\end{proof}", 100) == "\\begin{proof} Trivial. \\end{proof}"
    assert stated("one two three four", 18) == "one two three four"
    assert stated("one two three four", 17) == "one two three …"  # 15 characters fit, the last word's half is dropped
    assert stated("a" * 30, 10) == "a" * 8 + " …"


def summaries(server: LMServer, *doc_ids: str, path=None, documents=DOCUMENTS, rounds=1, **options) -> list[Summary]:
    """Summaries of documents, asked side by side, round after round."""

    async def use(lm):
        async with Library(documents, nothing, summaries=path, **options) as library:
            for _ in range(rounds):
                found = await asyncio.gather(*(library.summary(doc_id, lm) for doc_id in doc_ids))
            return found

    return running(server, use, answer_retries=0, retries=0)


def test_a_summary_is_asked_for_once_whoever_waits_for_it(tmp_path):
    with LMServer(SUMMARY, latency=0.01) as server:
        found = summaries(server, "d1", "d2", "d1", "d1", path=tmp_path / "s.jsonl", rounds=2)
        assert [summary.text for summary in found] == ["Sum - apples", "Sum - bees", "Sum - apples", "Sum - apples"]
        assert len(server.requests) == 2
        again = summaries(server, "d2", "d3", path=tmp_path / "s.jsonl")
        assert again == [Summary("Sum - bees"), Summary("Sum - cats")] and len(server.requests) == 3


def test_the_seed_of_a_summary_follows_from_its_document_alone():
    with LMServer(SUMMARY) as server:
        summaries(server, "d2", "d1")
    sent = {
        last_part(body, "Theorem"): (body["seed"], body["temperature"], body["max_tokens"]) for body in server.requests
    }
    assert sent == {DOCUMENTS[doc_id]: (seed_by_hand("summary", doc_id), 0.0, 512) for doc_id in ("d1", "d2")}


def test_the_file_does_not_tell_who_asked_first(tmp_path):
    with LMServer(SUMMARY) as server:
        for name, order in (("a", ["d1", "d3", "d2"]), ("b", ["d2", "d1", "d3"])):
            for doc_id in order:
                summaries(server, doc_id, path=tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "a").read_text("utf-8").splitlines()]
    assert [(row["doc_id"], row["summary"]) for row in rows] == [
        ("d1", "Sum - apples"),
        ("d2", "Sum - bees"),
        ("d3", "Sum - cats"),
    ]


def test_a_summary_is_on_disk_before_it_is_given(tmp_path):
    async def use(lm):
        async with Library(DOCUMENTS, nothing, summaries=tmp_path / "s.jsonl") as library:
            await library.summary("d1", lm)
            return (tmp_path / "s.jsonl").read_text("utf-8")

    with LMServer(SUMMARY) as server:
        assert json.loads(running(server, use))["summary"] == "Sum - apples"


def test_a_file_that_was_cut_anywhere_gives_its_whole_lines(tmp_path):
    path = tmp_path / "s.jsonl"
    texts = {"d1": "Der Satz über Äpfel.", "d2": "Ein Satz."}
    with LMServer(script({"summary": lambda body: last_part(body, "Theorem")})) as server:
        summaries(server, "d1", "d2", path=path, documents=texts)
        whole = path.read_bytes()
        first = whole.index(b"\n") + 1
        for end in (0, 1, first - 1, first, first + 1, len(whole) - 1, len(whole)):
            path.write_bytes(whole[:end])
            asked = len(server.requests)
            assert [s.text for s in summaries(server, "d1", "d2", path=path, documents=texts)] == list(texts.values())
            assert len(server.requests) - asked == 2 - whole[:end].count(b"\n")
            assert path.read_bytes() == whole


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text('{"doc_id": "d1"}\n{"broken\n', "utf-8")
    with LMServer(SUMMARY) as server, pytest.raises(ValueError, match=r"s\.jsonl:1: no summary of rader synthesize"):
        summaries(server, "d1", path=path)


def test_rows_of_another_prompt_text_or_model_are_passed_over(tmp_path):
    path = tmp_path / "s.jsonl"
    other = replace(load_prompts()["summary"], user="Task: summary\n\nTheorem:\n{theorem}")
    with LMServer(SUMMARY) as server:
        summaries(server, "d1", path=path)
        summaries(server, "d1", path=path, prompt=other)
        summaries(server, "d1", path=path, documents={"d1": DOCUMENTS["d2"]})
        assert len(server.requests) == 3
        summaries(server, "d1", path=path)
        summaries(server, "d1", path=path, prompt=other)
    assert len(server.requests) == 3 and len(path.read_text("utf-8").splitlines()) == 3


PROOF = "Let it be so. " * 100 + "\\begin{proof} For it is so. \\end{proof}"


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault("status", 500), "server_error"),
        (Fault("cut"), "broken"),
        (Fault("empty"), "empty"),
        (Fault("length"), "cut_off"),
    ],
)
def test_where_no_summary_can_be_had_the_text_stands_in_and_is_not_kept(tmp_path, fault, failure):
    path = tmp_path / "s.jsonl"
    with LMServer(SUMMARY, fault=lambda body, times: fault if times == 0 else None) as server:
        (failed,) = summaries(server, "p", path=path, documents={"p": PROOF})
        assert failed.failure == failure and failed.text == stated(PROOF, STAND_IN) and len(failed.text) <= STAND_IN
        assert "proof" not in failed.text and path.read_text("utf-8") == ""
        (mended,) = summaries(server, "p", path=path, documents={"p": PROOF})  # asked again, and now it answers
        assert mended == Summary("Sum - Let") and len(server.requests) == 2


def test_a_reply_that_never_stops_thinking_is_no_summary():
    with LMServer(script({"summary": "<think>Sum - apples"})) as server:
        assert summaries(server, "d1") == [Summary(DOCUMENTS["d1"], "unreadable")]


def overflow(longest: int):
    """The prompt's theorem has more characters than that."""
    fault = Fault("status", 400, "This model's maximum context length is 8192 tokens")
    return lambda body, times: fault if len(last_part(body, "Theorem")) > longest else None


def test_a_theorem_that_does_not_fit_is_cut_once_more():
    text = "word " * 4000
    with LMServer(SUMMARY, fault=overflow(2000)) as server:
        assert summaries(server, "t", documents={"t": text}) == [Summary("Sum - word")]
        assert [len(last_part(body, "Theorem")) for body in server.requests] == [
            len(stated(text, 6000)),
            len(stated(text, 1500)),
        ]
    with LMServer(SUMMARY, fault=overflow(1000)) as server:
        assert summaries(server, "t", documents={"t": text}) == [Summary(stated(text, STAND_IN), "context_overflow")]
        assert len(server.requests) == 2


def test_a_caller_that_gives_up_leaves_the_summary_to_the_others():
    async def use(lm):
        async with Library(DOCUMENTS, nothing) as library:
            first = asyncio.create_task(library.summary("d1", lm))
            second = asyncio.create_task(library.summary("d1", lm))
            await asyncio.sleep(0.01)
            first.cancel()
            return await second

    with LMServer(SUMMARY, latency=0.05) as server:
        assert running(server, use) == Summary("Sum - apples") and len(server.requests) == 1
