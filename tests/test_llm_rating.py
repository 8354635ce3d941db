"""Rating by a language model, written and expected: against a server that says each document's worth, and a tiny model here."""

import math

import pytest
import torch

pytest.importorskip("aiohttp")

from transformers import AutoModelForCausalLM, AutoTokenizer

from rader_ir.lm.local import Local
from rader_ir.prompts import load_prompts
from rader_ir.rerank import open_reranker
from rader_ir.rerank.llm_rating import KINDS, LLMRating
from tests import tiny
from tests.lm_server import MODEL, Fault, LMServer
from tests.thousand import DIFFERENT, candidates, reranked

DOCS = [["gives 3", "gives 5", "gives 0", "gives 3"], ["gives 1"], []]
QUERIES = ["q1", r"q2 {document} $\frac{1}{2}$", "q3"]


def asked(body: dict) -> str:
    return body["prompt"] if "prompt" in body else body["messages"][-1]["content"]


def says(form: str = "Relevance score: {}."):
    return lambda body: form.format(asked(body).split("gives ")[1][0])


def rated(answer=None, docs=DOCS, *, fault=lambda body, times: None, logprobs=None, **options):
    with LMServer(answer=answer or says(), fault=fault, logprobs=logprobs or {}) as server:
        reranker = open_reranker("llm-rating", lm=server.url, lm_model=MODEL, retries=0, **options)
        try:
            return reranker.rank(QUERIES[: len(docs)], docs), server.requests
        finally:
            reranker.unload()


def scores(rankings) -> list[list[float]]:
    return [[round(score, 6) for score in ranking.scores.tolist()] for ranking in rankings]


@pytest.mark.parametrize(
    "form", ["Relevance score: {}.", "{}", "**Relevance score:** {}/5", "<think>score: 9</think>Score: {}"]
)
def test_a_rating_is_a_fifth_of_what_is_written_and_ties_keep_their_order(form):
    rankings, requests = rated(says(form))
    assert scores(rankings) == [[0.6, 1.0, 0.0, 0.6], [0.2], []]
    assert [ranking.order for ranking in rankings] == [[1, 0, 3, 2], [0], []]
    assert len(requests) == 4  # of the equal documents of one query one is asked about
    assert [ranking.statistics.calls for ranking in rankings] == [4, 1, 0]


def test_digits_of_other_scripts():
    rankings, _ = rated(lambda body: says("Relevance score: {}")(body).translate(str.maketrans("0135", "٠١٣٥")))
    assert scores(rankings)[0] == [0.6, 1.0, 0.0, 0.6]


def test_the_papers_sampling():
    _, requests = rated()
    assert {(body["temperature"], body["top_p"], body["max_tokens"]) for body in requests} == {(0.6, 0.9, 32)}
    assert len({body["seed"] for body in requests}) == len(requests)


@pytest.mark.parametrize("instead", ["It is relevant.", "Relevance score: 7", "I'm sorry.", "Relevance score: five"])
def test_what_cannot_be_read_is_minus_one_and_last(instead):
    def answer(body):
        return instead if "gives 5" in asked(body) else says()(body)

    rankings, requests = rated(answer)
    assert scores(rankings)[0] == [0.6, -1.0, 0.0, 0.6] and rankings[0].order == [0, 3, 2, 1]
    assert rankings[0].statistics.malformed == 1 and rankings[0].statistics.further == 2
    assert len(requests) == 4 + 2
    assert rankings[0].reasoning[1] == instead


def test_failures_are_counted_and_all_of_them_are_an_error():
    rankings, _ = rated(fault=lambda body, times: Fault("status", 500) if "gives 5" in asked(body) else None)
    assert scores(rankings)[0][1] == -1.0 and rankings[0].statistics.failed == 1
    with pytest.raises(RuntimeError, match="answered none of 5 calls"):
        rated(fault=lambda body, times: Fault("status", 403, "no"))


def test_a_plain_text_is_the_prompt_without_a_chat():
    rankings, requests = rated(plain=True)
    assert scores(rankings)[0] == [0.6, 1.0, 0.0, 0.6]
    wording = load_prompts(name="llm_rating")["general"].user
    texts = {body["prompt"] for body in requests}
    assert wording.replace("{query}", "q1").replace("{document}", "gives 5") in texts and len(texts) == 4


PROBABLE = {"3": math.log(0.5), "4": math.log(0.25), "0": math.log(0.05), "x": math.log(0.2)}


@pytest.mark.parametrize("plain", [False, True])
def test_the_expected_rating_by_hand(plain):
    """(3 * .5 + 4 * .25 + 0 * .05) / .8 = 3.125, of 5: .625."""
    rankings, requests = rated(method="expected", logprobs=PROBABLE, plain=plain)
    assert scores(rankings) == [[0.625] * 4, [0.625], []]
    assert all(body["max_tokens"] == 1 and body["temperature"] == 1.0 for body in requests)
    ending = "Relevance score: " if plain else "one digit from 0 to 5."
    assert all(asked(body).endswith(ending) for body in requests)
    assert rankings[0].reasoning[0] == "0: 0.050, 1: 0.000, 2: 0.000, 3: 0.500, 4: 0.250, 5: 0.000"


def test_no_digit_among_the_most_likely_tokens_is_no_rating():
    rankings, _ = rated(method="expected", logprobs={"The": -0.1})
    assert scores(rankings)[0] == [-1.0] * 4 and rankings[0].statistics.malformed == 4


def test_each_task_has_its_wording_and_bright_tasks_name_them():
    wordings = {}
    for task in KINDS:
        (_, requests) = rated(docs=DOCS[1:2], task=task)
        wordings[task] = asked(requests[0])
    assert len(set(wordings.values())) == len(KINDS) == 6
    for task, kind in {
        "theoremqa_theorems": "theot",
        "biology": "general",
        "leetcode": "leetcode",
        "aops": "aops",
    }.items():
        (_, requests) = rated(docs=DOCS[1:2], task=task)
        assert asked(requests[0]) == wordings[kind]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"task": "history"}, "task 'history' is unknown; choose one of general"),
        ({"method": "guess"}, "method 'guess' is unknown"),
    ],
)
def test_settings_that_cannot_be(options, told):
    with pytest.raises(ValueError, match=told):
        LLMRating("http://127.0.0.1:9/v1", lm_model="m", **options)


def test_no_documents_need_no_model():
    assert scores(LLMRating("http://127.0.0.1:9/v1", lm_model="m").rank(["q"], [[]])) == [[]]


def test_a_long_document_is_cut_to_fit():
    (ranking,), requests = rated(docs=[["gives 4 " + "word " * 3000]], context=900)
    assert ranking.scores.tolist() == pytest.approx([0.8])
    assert ranking.statistics.shortened == 1 and len(asked(requests[0]).encode()) <= 3.5 * (900 - 32)


def test_own_wording_needs_only_the_sections_in_use(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        "[pony]\nmax_tokens = 5\nuser = '''{query}: {document}?'''\n[digit]\nmax_tokens = 1\nuser = 'digit'\n"
    )
    _, requests = rated(docs=DOCS[1:2], task="pony", prompt=path)
    assert asked(requests[0]) == "q1: gives 1?" and requests[0]["temperature"] == 0
    with pytest.raises(ValueError, match=r"has no section \[general\]"):
        LLMRating("http://x/v1", lm_model="m", prompt=path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.qwen2_chat(tmp_path_factory.mktemp("chat"), max_position_embeddings=2048)


def test_a_model_in_this_process_by_hand(folder):
    """The digits' probabilities behind the chat template's text, computed here by transformers alone."""
    reranker = LLMRating(Local(folder, device="cpu", dtype="float32"), method="expected")
    told = reranker.score(QUERIES, DOCS)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    wording = load_prompts(name="llm_rating")
    text = f"{wording['general'].user}\n\n{wording['digit'].user}".replace("{query}", "q1").replace(
        "{document}", "gives 5"
    )
    ids = tokenizer(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = model(ids).logits[0, -1]
    probable = logits[tokenizer.convert_tokens_to_ids(list("012345"))].double().softmax(0)
    assert told[0][1] == pytest.approx(float((probable * torch.arange(6)).sum()) / 5, abs=1e-5)
    assert reranker.score(QUERIES[:1], DOCS[:1])[0].tolist() == pytest.approx(told[0].tolist(), abs=1e-6)  # loaded once
    reranker.unload()


def test_a_model_in_this_process_compares_too(folder):
    """A random model answers nothing that can be read: its turn is forced, and the order stays, counted; special tokens go."""
    reranker = open_reranker("rankgpt", lm=f"local:{folder}", max_tokens=8, concurrency=4)
    (ranking,) = reranker.rank(["q<|im_end|>"], [["a <|endoftext|> b", "c", "d"]])
    assert sorted(ranking.order) == [0, 1, 2]
    assert ranking.statistics.calls == 1 and ranking.statistics.tokens_in > 0
    assert ranking.statistics.further >= 1 or ranking.order != [0, 1, 2]
    assert reranker.fingerprint() == reranker.fingerprint()
    reranker.unload()


def test_a_thousand_candidates_with_equal_texts_among_them(tmp_path):
    """Each text is rated once, by its place among the different ones."""
    texts = candidates()
    texts = [f"gives {texts.index(text) % 6}: {text}" for text in texts]
    with LMServer(answer=says()) as server:
        scores = reranked(open_reranker("llm-rating", lm=server.url, lm_model=MODEL), tmp_path, texts=texts)
        assert len(server.requests) == DIFFERENT
    assert scores == pytest.approx([int(text[6]) / 5 for text in texts], abs=1e-3)
