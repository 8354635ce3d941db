"""Reranking into a file: cuts, exclusions and what is missing by hand arithmetic; kills against an unbroken run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rader_ir.rerank_file import rerank_file
from rader_ir.runs import read_run

RUN = {"q1": {"a": 3.0, "b": 2.0, "c": 1.0}, "q2": {"c": 2.0, "a": 1.0}}
QUERIES = {"q1": "x", "q2": "y"}
DOCUMENTS = {"a": "x", "b": "xx y", "c": "yyy"}


class Occurrences:
    """A real, tiny scorer: how often the query's letter stands in the document."""

    def __init__(self, version="1"):
        self.version, self.asked = version, 0

    def score(self, queries, docs):
        self.asked += sum(map(len, docs))
        return [
            np.array([doc.count(query) for doc in each], np.float32) for query, each in zip(queries, docs, strict=True)
        ]

    def fingerprint(self):
        return self.version


def rerank(out, reranker=None, *, run=RUN, queries=QUERIES, documents=DOCUMENTS, **options):
    return rerank_file(run, queries, documents.items(), reranker or Occurrences(), out, **options)


def test_scores_every_candidate(tmp_path):
    out = tmp_path / "out.trec"
    expected = {"q1": {"a": 1.0, "b": 2.0, "c": 0.0}, "q2": {"c": 3.0, "a": 0.0}}
    assert rerank(out) == expected == read_run(out)
    assert os.listdir(tmp_path) == ["out.trec"]


def test_cuts_after_exclusion(tmp_path):
    assert rerank(tmp_path / "out.trec", depth=1, excluded={"q1": {"a"}}) == {"q1": {"b": 2.0}, "q2": {"c": 3.0}}


@pytest.mark.parametrize("group_size", [1, 2, 3])
def test_group_size_changes_nothing(tmp_path, group_size):
    assert rerank(tmp_path / "out.trec", group_size=group_size) == rerank(tmp_path / "whole.trec")


class Failing(Occurrences):
    def score(self, queries, docs):
        if "y" in queries:
            raise KeyboardInterrupt
        return super().score(queries, docs)


def test_resumes_after_an_interrupt_and_asks_only_for_the_rest(tmp_path):
    out = tmp_path / "out.trec"
    with pytest.raises(KeyboardInterrupt):
        rerank(out, Failing(), group_size=1)
    assert not out.exists()
    reranker, kept = Occurrences(), []
    assert rerank(out, reranker, group_size=1, kept=kept.append) == rerank(tmp_path / "whole.trec", kept=kept.append)
    assert reranker.asked == 2, "q2 alone was left: two documents"
    assert kept == [1], "q1 was, and an unbroken call keeps nothing"


CHANGES = {
    "another model": dict(reranker=Occurrences("2")),
    "another query": dict(queries=QUERIES | {"q1": "z"}),
    "another text": dict(documents=DOCUMENTS | {"b": "x"}),
    "another depth": dict(depth=1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_never_answered_from_the_old_part(tmp_path, change):
    out = tmp_path / "out.trec"
    with pytest.raises(KeyboardInterrupt):
        rerank(out, Failing(), group_size=1)
    assert rerank(out, group_size=1, **change) == rerank(tmp_path / "fresh.trec", group_size=1, **change)


def test_a_torn_last_line_is_scored_again_and_a_broken_one_is_refused(tmp_path):
    out, part = tmp_path / "out.trec", tmp_path / "out.trec.part"
    part.write_text('{"key": "ab')
    assert rerank(out) == rerank(tmp_path / "whole.trec")
    part.write_text('{"key": "ab"}\n')
    with pytest.raises(ValueError, match=r"out\.trec\.part:1: no finished group .* delete the file"):
        rerank(out)


def test_names_what_has_no_text(tmp_path):
    with pytest.raises(ValueError, match="1 queries of the run have no text, first 'q2'"):
        rerank(tmp_path / "out.trec", queries={"q1": "x"})
    with pytest.raises(ValueError, match="2 documents of the run have no text, first 'b'"):
        rerank(tmp_path / "out.trec", documents={"a": "x"})


def test_refuses_a_candidate_that_comes_twice_among_the_documents(tmp_path):
    documents = [*DOCUMENTS.items(), ("z", "1"), ("z", "2")]  # of z, which is no candidate, nothing is kept
    expected = rerank(tmp_path / "once.trec")
    assert rerank_file(RUN, QUERIES, documents, Occurrences(), tmp_path / "out.trec") == expected
    with pytest.raises(ValueError, match="document 'b' comes twice among the documents; keep one text"):
        rerank_file(RUN, QUERIES, [*documents, ("b", "other")], Occurrences(), tmp_path / "twice.trec")


def test_names_a_folder_that_does_not_exist_before_it_scores(tmp_path):
    reranker = Occurrences()
    with pytest.raises(FileNotFoundError, match=r"out\.trec: its folder does not exist; make the folder"):
        rerank(tmp_path / "none" / "out.trec", reranker)
    assert not reranker.asked


def test_refuses_scores_that_are_no_numbers(tmp_path):
    class Broken(Occurrences):
        def score(self, queries, docs):
            return [np.full(len(each), np.nan, np.float32) for each in docs]

    with pytest.raises(ValueError, match="query 'q1' got a score that is no finite number"):
        rerank(tmp_path / "out.trec", Broken())
    assert not (tmp_path / "out.trec").exists()


WORKER = """
import sys, time
import numpy as np
from rader_ir.rerank_file import rerank_file

class Slow:
    def score(self, queries, docs):
        time.sleep(0.004)
        return [np.array([len(q) / len(d) for d in each], np.float32) for q, each in zip(queries, docs)]
    def fingerprint(self):
        return "slow"

documents = {f"d{i}": "x" * (i + 1) for i in range(20)}
queries = {f"q{i}": "y" * (i + 1) for i in range(100)}
run = {query_id: {doc_id: float(i) for i, doc_id in enumerate(documents)} for query_id in queries}
rerank_file(run, queries, documents.items(), Slow(), sys.argv[1], group_size=2)
"""


def work(out: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(out)], cwd=Path(__file__).parents[1])


def test_kills_at_random_moments_lose_nothing(tmp_path):
    """A worker that needs 50 steps is killed up to ten times; the file at the end has the bytes of an unbroken run."""
    assert work(tmp_path / "whole.trec").wait() == 0
    out, part = tmp_path / "out.trec", tmp_path / "out.trec.part"
    generator, lines, kills = random.Random(0), 0, 0
    for _ in range(10):
        worker = work(out)
        while worker.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") <= lines):
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.02))
        worker.send_signal(signal.SIGKILL)
        if worker.wait() == 0:
            break
        assert not out.exists()
        now = part.read_bytes().count(b"\n")
        assert now > lines, "every life adds to what the last one left"
        lines, kills = now, kills + 1
    assert kills > 2

    assert work(out).wait() == 0
    assert out.read_bytes() == (tmp_path / "whole.trec").read_bytes()
    assert not part.exists()
