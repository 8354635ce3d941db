"""Rerankers in training read pairs where they will be served, whatever padding their base came with."""

import json
import shutil

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.train.models import open_base, open_model
from rader_ir.train.pairs import pair_ids, pair_inputs, score_ids, set_padding
from rader_ir.train.settings import RerankerOptions
from tests import tiny

QUERIES = ["prove it"] * 6 + ["How many ways are there?"] * 3
DOCS = [*tiny.SENTENCES, "x", tiny.SENTENCES[0], "y " * 60, ""]
KINDS = {
    "qwen2": tiny.qwen2,
    "eos is pad": lambda folder, **options: tiny.qwen2(folder, eos="<|endoftext|>", **options),
    "llama": tiny.llama,
    "bert": tiny.bert,
}


@pytest.fixture(scope="module", params=KINDS)
def reranker(request, tmp_path_factory):
    """A folder with a head of one label; its configuration says that 0 pads, whatever its tokenizer says."""
    folder = KINDS[request.param](tmp_path_factory.mktemp("reranker"), labels=1)
    return rewritten(folder, pad_token_id=0)


def rewritten(folder, **facts):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **facts}))
    return folder


def opened(folder, **options):
    """The model in evaluation, with its text path: all weights are trained."""
    options = RerankerOptions(**{"checkpoint": str(folder), "lora": False, **options})
    base = open_base(options, "score")
    return open_model(base, options).eval(), base.tokens


def scores(model, tokens, queries=QUERIES, docs=DOCS, **options):
    def forward(inputs):
        with torch.no_grad():
            return model(**inputs).logits

    ids = pair_ids(tokens, queries, docs)
    return score_ids(
        forward, ids, range(len(ids.rows)), tokens.tokenizer.pad_token_id, device=torch.device("cpu"), **options
    )


def rows(tokens, pad_id):
    ids = pair_ids(tokens, QUERIES, DOCS)
    return pair_inputs(ids, range(len(ids.rows)), pad_id)


def served(folder, **options):
    return np.concatenate(CrossEncoder(folder, **options).score(list(dict.fromkeys(QUERIES)), [DOCS[:6], DOCS[6:]]))


def test_scores_are_the_served_ones_in_any_batch(reranker):
    model, tokens = opened(reranker)
    expected = served(reranker)
    for budget in (1, 200, 100_000):
        assert np.abs(scores(model, tokens, budget=budget) - expected).max() < 2e-5
    ids = pair_ids(tokens, QUERIES, DOCS)
    some = score_ids(
        lambda inputs: model(**inputs).logits.detach(), ids, [7, 2], tokens.tokenizer.pad_token_id, device=model.device
    )
    assert np.abs(some - expected[[7, 2]]).max() < 2e-5


def test_documents_are_cut_as_they_are_served(reranker):
    model, tokens = opened(reranker, max_doc_length=40)
    assert tokens.checkpoint.max_doc_length == 40
    assert np.abs(scores(model, tokens) - served(reranker, max_length=40)).max() < 2e-5


def test_padding_that_the_configuration_does_not_know(tmp_path):
    """Tevatron's rerankers: the tokenizer pads with one id, the configuration names another, and the library's head reads a
    padding place of every row but the longest."""
    folder = rewritten(tiny.qwen2(tmp_path, labels=1), pad_token_id=5)
    model, tokens = opened(folder)
    right = scores(model, tokens)
    assert model.config.pad_token_id == tokens.tokenizer.pad_token_id != 5
    own = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = rows(tokens, tokens.tokenizer.pad_token_id)
    lengths = inputs["attention_mask"].sum(dim=1)
    with torch.inference_mode():
        wrong = own(**inputs).logits[:, 0].numpy()
        own.config.pad_token_id = tokens.tokenizer.pad_token_id
        mended = own(**inputs).logits[:, 0].numpy()
    short = (lengths < lengths.max()).numpy()
    assert short.sum() == 8 and np.abs(wrong - right)[short].min() > 0.01 and np.abs(wrong - right)[~short].max() < 1e-5
    assert np.abs(mended - right).max() < 1e-5


def test_padding_that_is_the_end_token(tmp_path):
    """gte-Qwen2: the library's head reads the token before the end. The tokenizer gets another padding token, which the
    folder of the trained model keeps, and then the library reads the end."""
    folder = rewritten(tiny.qwen2(tmp_path, labels=1, eos="<|endoftext|>"), pad_token_id=0)
    assert AutoTokenizer.from_pretrained(folder).pad_token_id == AutoTokenizer.from_pretrained(folder).eos_token_id == 0
    model, tokens = opened(folder)
    tokenizer = tokens.tokenizer
    assert tokenizer.pad_token == "<|im_start|>" and tokenizer.eos_token == "<|endoftext|>"
    right = scores(model, tokens)
    model.save_pretrained(tmp_path / "saved")
    before = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    after = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        wrong = before(**rows(tokens, 0)).logits[:, 0].numpy()
        mended = after(**rows(tokens, tokenizer.pad_token_id)).logits[:, 0].numpy()
    assert np.abs(wrong - right).min() > 0.01 and np.abs(mended - right).max() < 1e-5
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["architectures"] == [
        "Qwen2ForSequenceClassification"
    ]


def test_the_padding_token_is_new_only_where_it_must_be(tmp_path):
    for make, expected in ((tiny.qwen2, "<|endoftext|>"), (tiny.llama, "<|begin_of_text|>"), (tiny.bert, "[PAD]")):
        _, tokens = opened(make(tmp_path / make.__name__, labels=1))
        assert tokens.tokenizer.pad_token == expected


def test_a_tokenizer_without_another_special_token_is_left_alone_and_told(caplog):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny.byte_level_tokenizer(["<end>"]), eos_token="<end>", pad_token="<end>"
    )
    set_padding(tokenizer)
    assert tokenizer.pad_token == "<end>" and "will misread the finished folder" in caplog.text


def test_decoders_attend_causally_whatever_their_configuration_says(tmp_path):
    folder = rewritten(tiny.qwen2(tmp_path, labels=1), is_causal=False)
    model, tokens = opened(folder)
    assert np.abs(scores(model, tokens) - served(folder)).max() < 2e-5
    assert model.config.is_causal is True


def test_an_adapter_is_merged_where_all_weights_are_trained(tiny_qwen2_reranker, tmp_path):
    base = AutoModelForSequenceClassification.from_pretrained(tiny_qwen2_reranker)
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="SEQ_CLS")
    get_peft_model(base, config).save_pretrained(tmp_path)
    expected = served(tmp_path)
    assert np.abs(scores(*opened(tmp_path)) - expected).max() < 2e-5
    model, tokens = opened(tmp_path, lora=True)
    assert np.abs(scores(model, tokens) - expected).max() < 2e-5
    assert np.abs(served(tiny_qwen2_reranker) - expected).max() > 0.01
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(trained) == 5 and "base_model.model.score.modules_to_save.default.weight" in trained


@pytest.mark.parametrize("lora", [False, True])
def test_the_head_is_in_float32_whatever_the_arithmetic(tiny_qwen2, lora):
    """Scores of a bfloat16 product have 8 bits; the head's own have 24."""
    base = open_base(RerankerOptions(str(tiny_qwen2)), "score")
    torch.manual_seed(0)
    model = open_model(base, RerankerOptions(str(tiny_qwen2), lora=lora)).eval()
    if lora:  # as on a CUDA device: what is frozen is in bfloat16
        for weight in model.parameters():
            weight.data = weight.data if weight.requires_grad else weight.data.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        made = model(**rows(base.tokens, base.tokenizer.pad_token_id)).logits
    assert made.dtype == torch.float32 and not torch.equal(made, made.bfloat16().float())


def test_frozen_weights_lie_in_bfloat16_and_trained_ones_in_float32(tiny_qwen2, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    options = RerankerOptions(str(tiny_qwen2))
    model = open_model(open_base(options, "score"), options)
    kinds = {(weight.requires_grad, weight.dtype) for weight in model.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    assert model.get_base_model().score.modules_to_save["default"].weight.requires_grad


def test_forms_and_lengths(tiny_qwen2, tiny_bert):
    def checkpoint(folder, **options):
        return open_base(RerankerOptions(str(folder), **options), "score").checkpoint

    assert checkpoint(tiny_qwen2).pair_form == "query: {instruction}{query} document: {document}"
    assert checkpoint(tiny_qwen2, forms="tevatron").pair_form.startswith("query: Query: ")
    assert checkpoint(tiny_qwen2).max_doc_length == 512  # the positions that it has
    assert checkpoint("minilm").pair_form is None and checkpoint("minilm").max_doc_length == 256
    made = checkpoint(tiny_bert, pair_form="{query} [SEP] {document}", max_doc_length=30)
    assert made.pair_form == "{query} [SEP] {document}" and made.max_doc_length == made.max_query_length == 30
    for options, words in (
        ({"max_doc_length": 513}, "positions for 512 tokens"),
        ({"pair_form": "{query}"}, r"lacks \{document\}"),
        ({"forms": "plain"}, "pair_form is None, and a tokenizer without pairs"),
    ):
        with pytest.raises(ValueError, match=words):
            checkpoint(tiny_qwen2, **options)


def test_several_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="gives 3 numbers per pair; a reranker gives 1"):
        opened(tiny.qwen2(tmp_path, labels=3))


def test_an_encoder_that_is_not_whole_is_refused(tiny_qwen2, tiny_bert, tmp_path):
    for base, part in ((tiny_qwen2, "layers.1.mlp"), (tiny_bert, "encoder.layer.1.output")):
        folder = tmp_path / part
        shutil.copytree(base, folder)
        weights = load_file(folder / "model.safetensors")
        kept = {name: tensor for name, tensor in weights.items() if part not in name}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=f"lacks weights .*{part}"):
            opened(folder)


def test_an_encoders_adapter_is_refused(tiny_qwen2, tmp_path):
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="FEATURE_EXTRACTION")
    get_peft_model(AutoModel.from_pretrained(tiny_qwen2), config).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="is an adapter of an encoder, which cannot become a reranker; start from its base"
    ):
        opened(tmp_path)


def test_an_adapter_without_its_head_is_found_out(tiny_qwen2, tmp_path):
    """The base has no head, and the adapter's went lost: training and serving refuse to make one up."""
    base = AutoModelForSequenceClassification.from_pretrained(tiny_qwen2, num_labels=1)
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="SEQ_CLS")).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "score" not in name}
    assert len(kept) == len(weights) - 1
    save_file(kept, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"lacks weights that a 'score' head needs: score.weight"):
        served(tmp_path)
    for lora in (True, False):
        with pytest.raises(ValueError, match=r"lacks weights .*score"):
            opened(tmp_path, lora=lora)


def test_what_an_adapter_trains(tiny_qwen2, tiny_bert):
    """The head whole, which the base lacks; a BERT's pooler too, which no bi-encoder has trained."""

    def whole(folder):
        options = RerankerOptions(str(folder))
        model = open_model(open_base(options, "score"), options)
        trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
        assert all(".lora_" in name or ".modules_to_save." in name for name in trained)
        return {
            name.split(".modules_to_save")[0].removeprefix("base_model.model.")
            for name in trained
            if "lora" not in name
        }

    assert whole(tiny_qwen2) == {"score"}
    assert whole(tiny_bert) == whole("minilm") == {"bert.pooler", "classifier"}


def test_the_live_models_that_serve_are_left_alone(tiny_qwen2_reranker):
    serving = CrossEncoder(tiny_qwen2_reranker)
    before = serving.score(["prove it"], [["x"]])[0]
    model, _ = opened(tiny_qwen2_reranker)
    with torch.no_grad():
        model.score.weight.zero_()
    assert np.array_equal(serving.score(["prove it"], [["x"]])[0], before)
