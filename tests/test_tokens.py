"""Texts become ids with the end kept, batches hold a budget of tokens, and running out of memory loses nothing."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rader_ir.checkpoints import read_folder
from rader_ir.tokens import TextTokens, ahead, batches, for_each_batch, portions


def tokens_of(folder):
    return TextTokens(AutoTokenizer.from_pretrained(folder), read_folder(folder))


def test_qwen_gets_an_end_token_that_truncation_keeps(tiny_qwen2):
    tokens = tokens_of(tiny_qwen2)
    end = tokens.tokenizer.convert_tokens_to_ids("<|im_end|>")
    body = tokens.tokenizer("query: prove it")["input_ids"]
    assert tokens.texts(["query: prove it"], 100).rows == [[*body, end]]
    cut = tokens.texts(["query: prove it", "a"], 4)
    assert cut.rows[0] == [*body[:3], end]
    assert cut.truncated == 1


def test_llama_keeps_its_beginning_and_gets_its_end(tiny_llama):
    tokens = tokens_of(tiny_llama)
    begin, end = tokens.tokenizer.convert_tokens_to_ids(["<|begin_of_text|>", "<|eot_id|>"])
    row = tokens.texts(["a graph is bipartite"], 4).rows[0]
    assert row[0] == begin and row[-1] == end and len(row) == 4


def test_bert_keeps_its_frame_and_nothing_else(tiny_bert):
    tokens = tokens_of(tiny_bert)
    assert tokens.texts(["prove it"], 100).rows == [tokens.tokenizer("prove it")["input_ids"]]
    assert tokens.texts(["prove it now or never"], 5).rows == [
        tokens.tokenizer("prove it now or never", truncation=True, max_length=5)["input_ids"]
    ]


def test_an_end_that_the_tokenizer_appends_is_not_doubled(tiny_qwen2, tmp_path):
    from tokenizers.processors import TemplateProcessing

    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen2)
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    row = TextTokens(tokenizer, read_folder(tiny_qwen2)).texts(["prove it"], 100).rows[0]
    assert row.count(tokenizer.eos_token_id) == 1 and row[-1] == tokenizer.eos_token_id


def test_a_tokenizer_without_an_end(tiny_bert):
    with pytest.raises(ValueError, match="appends an end token, and its tokenizer has none"):
        TextTokens(AutoTokenizer.from_pretrained(tiny_bert), replace(read_folder(tiny_bert), eos="append"))


def test_a_text_without_any_token_is_refused(tiny_qwen2):
    checkpoint = replace(read_folder(tiny_qwen2), eos="tokenizer")
    tokens = TextTokens(AutoTokenizer.from_pretrained(tiny_qwen2), checkpoint)
    assert tokens.texts(["a"], 5).truncated == 0
    with pytest.raises(
        ValueError, match=r"text '' has no tokens, and checkpoint .* adds none of its own; leave the text out"
    ):
        tokens.texts(["a", ""], 5)


def test_items_are_made_ahead_in_order_and_errors_arrive():
    made = []

    def items():
        for i in range(4):
            made.append(i)
            yield i
        raise ValueError("the fifth")

    seen = ahead(items())
    assert next(seen) == 0
    with pytest.raises(ValueError, match="the fifth"):
        for i in seen:
            assert i in made
    assert made == [0, 1, 2, 3]


@given(st.lists(st.sampled_from([0, 5, 1000, 1 << 20, 1 << 23]), max_size=40), st.integers(1, 300))
def test_portions_hold_everything_in_order_within_their_bounds(letters, times):
    letters = letters * times
    made = list(portions(letters))
    assert [i for part in made for i in range(part.start, part.stop)] == list(range(len(letters)))
    for part in made:
        assert part.stop - part.start == 1 or (part.stop - part.start <= 4096 and sum(letters[part]) <= 1 << 22)
    for part, after in pairwise(made):  # each is as large as it may be
        assert part.stop - part.start == 4096 or sum(letters[part]) + letters[after.start] > 1 << 22


def test_pairs_are_the_joined_string_and_only_the_document_is_cut(tiny_qwen2):
    tokens = tokens_of(tiny_qwen2)
    query, doc = "what is the law of large numbers?", "the sample average converges to the expected value."
    whole = tokens.tokenizer(f"query: {query} document: {doc}")["input_ids"]
    end = tokens.tokenizer.eos_token_id
    assert tokens.pairs([query], [doc], "", 200).rows == [[*whole, end]]
    limit = len(whole) - 3
    cut = tokens.pairs([query, query], [doc, "x"], "", limit)
    assert cut.rows[0] == [*whole[: limit - 1], end] and cut.truncated == 1
    lead = len(tokens.tokenizer(f"query: {query} document: ")["input_ids"])
    assert tokens.shortened([query, "a"], "", -(-lead * 4 // 3)) == {query: query, "a": "a"}


@pytest.mark.parametrize("model", ["tiny_qwen2", "tiny_bert"])
def test_a_long_query_leaves_a_quarter_to_the_document(model, request):
    folder = request.getfixturevalue(model)
    tokens = TextTokens(AutoTokenizer.from_pretrained(folder), replace(read_folder(folder), head="score"))
    query, doc, limit = "what is the law of large numbers? " * 5, "the sample average converges. " * 5, 40
    read = tokens.shortened([query], "", limit)[query]
    form = tokens.checkpoint.pair_form or "{query}{document}"
    lead = form.partition("{document}")[0]
    assert query.startswith(read) and len(tokens._encode([lead.format(query=read, instruction="")])[0]) == 30
    longer = query[: len(read) + 12]
    assert len(tokens._encode([lead.format(query=longer, instruction="")])[0]) > 30
    made = tokens.pairs([query, "prove it"], [doc, "so"], "", limit)
    assert made.rows[0] == tokens.pairs([read], [doc], "", limit).rows[0] and len(made.rows[0]) == limit
    assert made.truncated == 1 and tokens.pairs([query], ["so"], "", limit).truncated == 1


def test_an_instruction_without_an_end_is_refused(tiny_qwen2):
    checkpoint = replace(read_folder(tiny_qwen2), pair_form="query: {instruction}{query} document: {document}")
    tokens = TextTokens(AutoTokenizer.from_pretrained(tiny_qwen2), checkpoint)
    with pytest.raises(ValueError, match="the instruction leaves no room for query and document"):
        tokens.pairs(["prove it"], ["so"], "what is a graph " * 20, 40)


def test_pairs_with_words_after_the_document_keep_them(tiny_qwen2):
    checkpoint = replace(read_folder(tiny_qwen2), pair_form="query: {query} document: {document} <end>")
    tokens = TextTokens(AutoTokenizer.from_pretrained(tiny_qwen2), checkpoint)
    tail = tokens.tokenizer(" <end>")["input_ids"]
    row = tokens.pairs(["prove it"], ["a graph is bipartite " * 9], "", 40).rows[0]
    assert len(row) == 40 and row[-1 - len(tail) : -1] == tail


def test_berts_pairs_are_the_tokenizers_own(tiny_bert):
    tokens = TextTokens(AutoTokenizer.from_pretrained(tiny_bert), replace(read_folder(tiny_bert), head="score"))
    made = tokens.pairs(["prove it"], ["a graph is bipartite if and only if"], "", 12)
    expected = tokens.tokenizer(
        "prove it",
        "a graph is bipartite if and only if",
        truncation="only_second",
        max_length=12,
        return_token_type_ids=True,
    )
    assert made.rows == [expected["input_ids"]] and made.segments == [expected["token_type_ids"]]
    assert made.truncated == 1


def test_passages_cover_the_text(tiny_qwen2):
    tokens = tokens_of(tiny_qwen2)
    text = "Every finite integral domain is a field, and what follows is the tail"
    made = tokens.passages([text, ""], 5, 5)
    assert "".join(made[0]) == text and made[1] == [""]
    assert all(len(tokens.tokenizer(piece)["input_ids"]) <= 5 for piece in made[0][:-1])
    overlapping = tokens.passages([text], 5, 2)[0]
    assert text.startswith(overlapping[0]) and text.endswith(overlapping[-1])


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_batches_hold_everything_once_within_the_budget(lengths, budget):
    made = batches(np.array(lengths, dtype=np.int64), budget)
    assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_out_of_memory_halves_the_batch_and_loses_nothing(error):
    lengths = np.array([8, 3, 5, 8, 2, 7, 8, 1])
    done, tried = [], []

    def step(batch):
        tried.append(len(batch))
        if lengths[batch].max() * len(batch) > 16:
            raise error
        done.extend(batch.tolist())

    for_each_batch(lengths, 1000, step)
    assert sorted(done) == list(range(8))
    assert tried[0] == 8 and max(tried[1:]) <= 4


def test_one_text_too_many_says_so():
    def step(batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError, match="one text of 7 tokens does not fit into memory; lower the maximum length"):
        for_each_batch(np.array([7]), 100, step)


def test_other_errors_pass_through():
    def step(batch):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        for_each_batch(np.array([7]), 100, step)
