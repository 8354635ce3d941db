"""`ReasoningQuery` in PyTerrier: the paper's pipelines from end to end, what is asked how often, what a reset gives back."""

import os

import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")
pytest.importorskip("aiohttp")

from pyterrier_rader import (  # noqa: E402
    Bm25Retriever,
    RaDeREncoder,
    RaDeRFusion,
    RaDeRIndex,
    RaDeRReranker,
    ReasoningQuery,
    SafeQueries,
    TextLoader,
)
from rader_ir import bright  # noqa: E402
from tests.lm_server import MODEL, Fault, LMServer  # noqa: E402
from tests.reasoning_cases import KNOWN, QUESTIONS, REASONING, THEOREMS, Thinker, asked, knowing  # noqa: E402
from tests.test_cli_synthesize import free_port  # noqa: E402
from tests.toys import WordEncoder, WordOverlap  # noqa: E402

DOCUMENTS = [{"docno": docno, "text": text} for docno, text in THEOREMS.items()]
QRELS = pd.DataFrame([(qid, doc_id, 1) for qid, (_, doc_id, _) in KNOWN.items()], columns=["qid", "docno", "label"])


def topics() -> pd.DataFrame:
    return pd.DataFrame(QUESTIONS.items(), columns=["qid", "query"])


@pytest.fixture
def server():
    with LMServer(answer=knowing) as server:
        yield server


@pytest.fixture(scope="module")
def bm25():
    return Bm25Retriever.from_documents(DOCUMENTS)


def test_the_query_is_pushed_and_the_reasoning_kept():
    out = ReasoningQuery(Thinker())(topics().assign(difficulty=range(4)))
    assert list(out.columns) == ["qid", "query_0", "difficulty", "query", "qreasoning"]
    assert out["query_0"].tolist() == list(QUESTIONS.values())
    assert out["query"].tolist() == out["qreasoning"].tolist() == [REASONING[query] for query in out["query_0"]]
    expanded = ReasoningQuery(Thinker(), expand=True)(topics())
    assert expanded["query"].tolist() == [f"{query}\n\n{REASONING[query]}" for query in out["query_0"]]
    assert expanded["qreasoning"].tolist() == out["qreasoning"].tolist()
    assert pt.rewrite.reset()(out)["query"].tolist() == list(QUESTIONS.values())


def test_the_papers_pipeline(server, bm25):
    """BM25 finds each theorem by the reasoning and none first by the question; the reranker reads the questions alone."""
    scorer = WordOverlap()
    reason = ReasoningQuery(server.url, lm_model=MODEL)
    first = reason >> bm25 % 100
    pipeline = first >> pt.rewrite.reset() >> TextLoader(THEOREMS) >> RaDeRReranker(scorer)
    out = pipeline(topics())
    assert {query for query, _ in scorer.pairs} == set(QUESTIONS.values())
    assert out.groupby("qid")["query"].unique().str[0].to_dict() == QUESTIONS
    assert out["qreasoning"].isin(REASONING.values()).all()
    table = pt.Experiment([bm25, first], topics(), QRELS, ["recip_rank"], ["question", "reasoning"], plan="tree")
    figures = table.set_index("name")["recip_rank"].to_dict()
    assert figures["reasoning"] == 1.0 and figures["question"] < 0.5
    assert len(server.requests) == 4, "asked once, whichever pipeline"


def test_a_dense_retriever_reads_its_instruction_and_the_reasoning(tmp_path, bm25):
    """So does a fusion, whose BM25 reads the reasoning without the instruction."""
    engine = WordEncoder()
    encoder = RaDeREncoder(engine, task="theoremqa_theorems")
    index = (RaDeREncoder(engine) >> RaDeRIndex(tmp_path / "dense")).index(DOCUMENTS)
    thinker = Thinker()
    dense = encoder >> index.retriever()
    engine.asked.clear()
    out = (ReasoningQuery(thinker) >> RaDeRFusion(dense, bm25) % 10 >> pt.rewrite.reset())(topics())
    instruction = bright.instruction("theoremqa_theorems")
    assert sorted(engine.asked) == sorted(f"{instruction} {reasoning}" for reasoning in REASONING.values())
    assert out.groupby("qid")["query"].unique().str[0].to_dict() == QUESTIONS
    assert sorted(thinker.asked) == sorted(QUESTIONS.values())


def test_an_experiment_asks_once_for_all_its_systems(server, bm25):
    """Shared beginnings, systems that share none, parts of the topics and a second experiment: four questions, four calls."""
    made = lambda **more: ReasoningQuery(server.url, lm_model=MODEL, **more)  # noqa: E731
    systems = {
        "reasoning": made() >> bm25,
        "first ten": made() >> bm25 % 10,
        "question and reasoning": made(expand=True) >> bm25,
    }
    for plan, batch_size in (("tree", None), ("tree", 2)):
        options = dict(plan=plan, batch_size=batch_size, validate="error")
        table = pt.Experiment([*systems.values()], topics(), QRELS, ["recip_rank"], [*systems], **options)
        assert table.set_index("name").loc["reasoning", "recip_rank"] == 1.0
    assert len(server.requests) == 4
    made(seed=1)(topics())
    assert len(server.requests) == 8


def test_a_file_is_for_later_processes(server, tmp_path):
    """A process is stood in for by leaving the model, which forgets what it was told; without a file it is asked again."""
    for cache, calls in ((tmp_path / "replies.sqlite", 4), (None, 8)):
        before = len(server.requests)
        for _ in range(2):
            reason = ReasoningQuery(server.url, lm_model=MODEL, cache=cache)
            reason(topics())
            reason.unload()
        assert len(server.requests) - before == calls


def test_behind_safe_queries_the_question_is_two_resets_away(bm25):
    scorer = WordOverlap()
    found = ReasoningQuery(Thinker()) >> SafeQueries() >> bm25 % 5 >> TextLoader(THEOREMS)
    once = (found >> pt.rewrite.reset())(topics())
    assert set(once["query"]) == set(REASONING.values())
    (found >> pt.rewrite.reset() >> pt.rewrite.reset() >> RaDeRReranker(scorer))(topics())
    assert {query for query, _ in scorer.pairs} == set(QUESTIONS.values())
    named = WordOverlap()
    (found >> RaDeRReranker(named, query_field="query_1"))(topics())
    assert {query for query, _ in named.pairs} == set(QUESTIONS.values())


def test_results_are_asked_about_by_query(bm25):
    """Not by row; scores, ranks and documents stay."""
    thinker, results = Thinker(), bm25(topics())
    out = ReasoningQuery(thinker)(results)
    assert sorted(thinker.asked) == sorted(QUESTIONS.values()) and len(out) == len(results) > 8
    pd.testing.assert_frame_equal(out[["qid", "docno", "score", "rank"]], results[["qid", "docno", "score", "rank"]])
    assert out["query"].tolist() == [REASONING[question] for question in results["query"]]


def test_equal_queries_of_two_topics_are_asked_once():
    thinker = Thinker()
    out = ReasoningQuery(thinker)(pd.DataFrame({"qid": ["1", "2"], "query": ["same?", "same?"]}))
    assert thinker.asked == ["same?"] and out["query"].nunique() == 1


def test_twice_is_two_pushes():
    """The second reasons about the first's reasoning, whose column is its own then."""
    thinker = Thinker()
    out = (ReasoningQuery(thinker) >> ReasoningQuery(thinker, seed=1))(topics())
    assert out["query_1"].tolist() == list(QUESTIONS.values())
    assert out["query_0"].tolist() == list(REASONING.values())
    assert out["qreasoning"].tolist() == out["query"].tolist() != out["query_0"].tolist()
    assert out.columns.is_unique


def test_what_fails_stays_the_question_and_is_told():
    def answer(body):
        return "" if asked(body) == QUESTIONS["garden"] else knowing(body)

    reason = ReasoningQuery(Thinker(answer), expand=True)
    with pytest.warns(UserWarning, match=r"2 of 5 queries got no reasoning and stay the question \(blank 1, empty 1\)"):
        out = reason(pd.concat([topics(), pd.DataFrame({"qid": ["none"], "query": [" "]})])).set_index("qid")
    assert (out.loc["garden", "query"], out.loc["garden", "qreasoning"]) == (QUESTIONS["garden"], "")
    assert (out.loc["none", "query"], out.loc["none", "qreasoning"]) == (" ", "")
    assert (out["qreasoning"] != "").sum() == 3
    assert {each.question: each.failure for each in reason.statistics if each.failure} == {
        QUESTIONS["garden"]: "empty",
        " ": "blank",
    }


def test_two_queries_under_one_qid_and_a_query_of_no_text_are_refused():
    frame = pd.DataFrame({"qid": ["1", "1"], "query": ["one?", "another?"]})
    with pytest.raises(ValueError, match="qid '1': rows of one query differ in column 'query'"):
        ReasoningQuery(Thinker())(frame)
    with pytest.raises(ValueError, match="question 5 is a int; expected text"):
        ReasoningQuery(Thinker())(pd.DataFrame({"qid": ["1"], "query": [5]}))


def test_a_server_that_is_not_there_or_lacks_the_model_is_told_at_the_first_row(server, bm25):
    nobody = ReasoningQuery(f"http://127.0.0.1:{free_port()}/v1", lm_model=MODEL) >> bm25
    assert len(nobody(topics().iloc[:0])) == 0
    with pytest.raises(ConnectionError, match="no language model answers at"):
        nobody(topics())
    with pytest.raises(ValueError, match=f"has no model 'other'; it has {MODEL}"):
        ReasoningQuery(server.url, lm_model="other")(topics())
    with pytest.raises(ValueError, match="no model was named for"):
        ReasoningQuery(server.url)(topics())
    assert not server.requests


def test_a_server_that_refuses_every_call_is_no_reasoning():
    with (
        LMServer(answer=knowing, fault=lambda body, times: Fault("status", 400, "no such field")) as server,
        pytest.raises(RuntimeError, match="reasoned about none of 4 questions"),
    ):
        ReasoningQuery(server.url, lm_model=MODEL)(topics())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"asks": 0}, "asks is 0"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_it_is_made(options, told):
    with pytest.raises(ValueError, match=told):
        ReasoningQuery("local:nowhere", **options)


def test_equal_ones_share_a_model_and_a_prompt_that_changed_makes_another(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("[reason]\nmax_tokens = 5\nuser = '''{question}'''\n")
    one = ReasoningQuery("local:nowhere", prompt=path)
    assert ReasoningQuery("local:nowhere", prompt=path, expand=True).model() is one.model()
    assert ReasoningQuery("local:nowhere").model() is not one.model()
    path.write_text("[reason]\nmax_tokens = 7\nuser = '''{question} '''\n")
    os.utime(path, ns=(1, 1))
    assert one.model().plan.sampling.max_tokens == 7
