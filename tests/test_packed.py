"""Texts laid one behind another are read as if each were alone, by every way and for every family of models."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
)

from rader_ir.linear import Linear, joined
from rader_ir.packed import Engine, Pack
from rader_ir.packed.attention import attend
from rader_ir.packed.bert import Bert
from rader_ir.packed.decoder import Decoder
from rader_ir.packed.engine import _difference, _tried
from rader_ir.packed.library import NAME, Library
from rader_ir.packed.packs import lacking
from rader_ir.packed.padded import Padded

CPU = torch.device("cpu")
OLDER = """
import sys, torch
from rader_ir.packed import Engine
from tests.test_packed import CONFIGS, model_of

model = model_of(CONFIGS["qwen2"]).to(getattr(torch, sys.argv[1]))
print(type(Engine(model, name="tiny", causal=True).way).__name__)
"""
SHAPE = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=99, pad_token_id=0
)
SHAPE |= dict(max_position_embeddings=64, initializer_range=0.4)
HEADS = dict(num_key_value_heads=2)
CONFIGS = {
    "qwen2": Qwen2Config(**SHAPE, **HEADS),
    "qwen3": Qwen3Config(**SHAPE, **HEADS, head_dim=16),
    "llama": LlamaConfig(**SHAPE, **HEADS, attention_bias=True),
    "llama with scaled positions": LlamaConfig(
        **SHAPE,
        **HEADS,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 1e4,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    ),
    "mistral": MistralConfig(**SHAPE, **HEADS, sliding_window=None),
    "bert": BertConfig(**SHAPE),
}
DECODERS = [name for name in CONFIGS if name != "bert"]
ROWS = [[5, 9, 11], [7], [21, 22, 23, 24, 25, 26, 27], [3, 1, 4], [8, 8, 8, 8, 8, 8, 8]]


def model_of(config) -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModel.from_config(config).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def alone(model, row: list[int]) -> torch.Tensor:
    """All states of one text, by transformers' eager attention."""
    model.set_attn_implementation("eager")
    return model(torch.tensor([row])).last_hidden_state[0]


def expected(model, rows, pooling) -> torch.Tensor:
    states = [alone(model, row) for row in rows]
    return torch.stack([{"last": s[-1], "first": s[0], "mean": s.mean(dim=0)}[pooling] for s in states])


def test_a_pack_lies_prefix_by_prefix_and_length_by_length():
    pack = Pack([[1, 2], [3], [4, 5], [6]], CPU, prefixes=np.array([1, 1, 0, -1]), offsets=np.array([7, 7, 9, 0]))
    assert pack.order.tolist() == [3, 2, 0, 1]
    assert pack.ids.tolist() == [6, 4, 5, 1, 2, 3]
    assert pack.positions.tolist() == [0, 9, 10, 7, 8, 7]
    assert [(run.start, run.count, run.length, run.prefix) for run in pack.runs] == [
        (0, 1, 1, -1),
        (1, 1, 2, 0),
        (3, 1, 2, 1),
        (5, 1, 1, 1),
    ]
    states = torch.arange(6.0)[:, None]
    assert pack.pooled(states, "last").flatten().tolist() == [4, 5, 2, 0]
    assert pack.pooled(states, "first").flatten().tolist() == [3, 5, 1, 0]
    assert pack.pooled(states, "mean").flatten().tolist() == [3.5, 5, 1.5, 0]
    assert [part.flatten().tolist() for part in pack.by_text(states)] == [[3, 4], [5], [1, 2], [0]]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_attention_equals_dense_attention_of_each_text(causal, single):
    random = torch.Generator().manual_seed(1)
    pack = Pack(ROWS, CPU, prefixes=np.array([0, 1, 1, -1, 2]), offsets=np.array([3, 6, 6, 0, 0]))
    query, key, value = (torch.randn(len(pack.ids), heads, 8, generator=random) for heads in (4, 2, 2))
    known = [tuple(torch.randn(size, 2, 8, generator=random) for _ in range(2)) for size in (3, 6, 0)]
    asked = query[pack.last] if single else query
    made = attend(asked, key, value, pack, causal=causal, scale=0.3, prefixes=known)
    place = 0
    for run in pack.runs:
        for text in range(run.count):
            part = slice(run.start + text * run.length, run.start + (text + 1) * run.length)
            before = known[run.prefix] if run.prefix >= 0 else (key[:0], value[:0])
            keys, values = torch.cat([before[0], key[part]]), torch.cat([before[1], value[part]])
            scores = 0.3 * torch.einsum("qhd,khd->hqk", query[part], keys.repeat_interleave(2, dim=1))
            if causal:
                ahead = torch.ones(run.length, len(keys), dtype=bool).triu(len(before[0]) + 1)
                scores = scores.masked_fill(ahead, -torch.inf)
            right = torch.einsum("hqk,khd->qhd", scores.softmax(-1), values.repeat_interleave(2, dim=1))
            got = made[place : place + 1] if single else made[part]
            assert (got - (right[-1:] if single else right)).abs().max() < 1e-6
            place += 1


@pytest.mark.parametrize("pooling", ["last", "first", "mean"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_way_reads_each_text_as_if_it_were_alone(name, pooling):
    model = model_of(CONFIGS[name])
    right = expected(model, ROWS, pooling)
    model.set_attn_implementation("sdpa")
    ways = [Padded(model), (Bert if name == "bert" else Decoder)(model, causal=name != "bert")]
    for way in [*ways, Library(model, causal=name != "bert")]:
        assert (way.pooled(Pack(ROWS, CPU), pooling) - right).abs().max() < 2e-5, way


@pytest.mark.parametrize("way", [Decoder, Library])
@pytest.mark.parametrize("name", DECODERS)
def test_prefixes_are_read_once_and_nothing_changes(name, way):
    model, joint = model_of(CONFIGS[name]), [[31, 32, 33, 34], [41, 42]]
    belongs = np.array([0, 1, 1, -1, 0])
    offsets = np.array([4, 2, 2, 0, 4])
    whole = [(joint[number] if number >= 0 else []) + row for number, row in zip(belongs, ROWS, strict=True)]
    right = {pooling: expected(model, whole, pooling) for pooling in ("last", "mean")}
    reader = way(model, causal=True)
    known = reader.prefixes(Pack(joint, CPU))
    pack = Pack(ROWS, CPU, prefixes=belongs, offsets=offsets)
    assert (reader.pooled(pack, "last", known) - right["last"]).abs().max() < 2e-5
    alone_there = np.flatnonzero(belongs < 0)  # the mean of a continued text leaves its prefix out
    assert (reader.pooled(pack, "mean", known) - right["mean"])[alone_there].abs().max() < 2e-5


def test_lengths_that_sequences_are_filled_up_to_are_few():
    taken = {size + lacking(size) for size in range(1, 4097)}
    assert len([size for size in taken if 64 <= size < 4096]) == 6 * 32  # 32 of each power of two
    assert all(lacking(size) <= size / 32 for size in range(1, 4097))


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_sequence_is_filled_up_with_is_given_to_nobody(name):
    """Prefixes and their texts, 65 tokens and more, filled up: as many states as texts, and the same."""
    model, rows = model_of(CONFIGS[name]), [*ROWS * 4, [7, 8, 9]]
    joint, belongs = [rows[0] * 30, rows[1]], np.arange(len(rows)) % 3 - 1
    whole = [(joint[number] if number >= 0 else []) + row for number, row in zip(belongs, rows, strict=True)]
    offsets = np.array([len(joint[number]) if number >= 0 else 0 for number in belongs])
    assert lacking(sum(map(len, rows))) and lacking(sum(map(len, joint)))
    right = {pooling: expected(model, rows, pooling) for pooling in ("last", "first", "mean")}
    continued = expected(model, whole, "last") if name != "bert" else None
    model.set_attn_implementation("sdpa")
    ways = [Padded(model), (Bert if name == "bert" else Decoder)(model, causal=name != "bert")]
    for way in [*ways, Library(model, causal=name != "bert")]:
        for pooling, states in right.items():
            assert (way.pooled(Pack(rows, CPU, fill=True), pooling) - states).abs().max() < 2e-5, (way, pooling)
        if way.continues:
            known = way.prefixes(Pack(joint, CPU, fill=True))
            found = way.pooled(Pack(rows, CPU, prefixes=belongs, offsets=offsets, fill=True), "last", known)
            assert (found - continued).abs().max() < 2e-5, way


def test_a_model_that_reads_packs_still_reads_as_before():
    model = model_of(CONFIGS["qwen2"])
    right = alone(model, ROWS[2])
    engine = Engine(model, name="tiny", causal=True)
    Library(model, causal=True)
    assert model.config._attn_implementation == NAME
    assert isinstance(engine.way, Decoder)
    assert (model(torch.tensor([ROWS[2]])).last_hidden_state[0] - right).abs().max() < 2e-5
    mask = torch.tensor([[1] * 7 + [0] * 2])
    padded = model(torch.tensor([[*ROWS[2], 0, 0]]), attention_mask=mask).last_hidden_state[0, :7]
    assert (padded - right).abs().max() < 2e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_packed(dtype):
    model = model_of(CONFIGS["qwen2"]).to(dtype)
    assert isinstance(Engine(model, name="tiny", causal=True).way, Decoder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (RobertaConfig(**SHAPE), "model type 'roberta' has no forward of its own here"),
        (
            Qwen2Config(**SHAPE, **HEADS, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}),
            "positions of type 'dynamic' depend on the longest text of a batch",
        ),
    ],
)
def test_what_cannot_be_packed_is_padded_and_the_log_says_so(config, words, caplog):
    model = model_of(config)
    with caplog.at_level(logging.WARNING):
        engine = Engine(model, name="odd", causal=config.model_type != "roberta")
    assert isinstance(engine.way, Padded) and engine.way is engine.way_for(10)
    assert "odd: texts are padded" in caplog.text and words in caplog.text


def test_an_activation_of_its_own_is_left_to_the_library():
    engine = Engine(model_of(BertConfig(**{**SHAPE, "hidden_act": "gelu_new"})), name="odd", causal=False)
    assert isinstance(engine.way, Library)


def test_a_way_that_differs_is_found_out():
    model = model_of(CONFIGS["qwen2"])
    plain = Padded(model)
    assert _difference(Decoder(model, causal=True), plain, model) is None
    assert "Decoder differs from the library's forward by" in _difference(Decoder(model, causal=False), plain, model)
    wrong = Decoder(model, causal=True)
    wrong.scale *= 1.01
    assert "Decoder differs" in _difference(wrong, plain, model)


def test_a_way_that_fails_is_passed_over():
    class Broken(Decoder):
        def __init__(self, model, *, causal):
            raise RuntimeError("this processor lacks it")

    model = model_of(CONFIGS["qwen2"])
    assert _tried(Broken, Padded(model), model, True) == (None, "Broken failed: this processor lacks it")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_processors_of_fewer_instructions_read_packed_too(dtype):
    """oneDNN takes its instructions from the environment, so an older processor can be played on a newer one."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", OLDER, dtype]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout.split() == ["Decoder"], done.stderr


def test_texts_beyond_a_sliding_window_are_read_the_plain_way():
    config = MistralConfig(**SHAPE, **HEADS, sliding_window=20)
    model = model_of(config)
    engine = Engine(model, name="tiny", causal=True)
    assert engine.way_for(19) is engine.way and engine.way_for(20) is engine.plain and engine.way is not engine.plain
    rows = [list(range(1, 30)), [3, 4]]
    right = expected(model, rows, "last")
    model.set_attn_implementation("sdpa")
    assert (engine.way_for(29).pooled(Pack(rows, CPU), "last") - right).abs().max() < 2e-5
    assert (engine.way_for(7).pooled(Pack([[3, 4]], CPU), "last") - right[1:]).abs().max() < 2e-5


def test_linear_layers_equal_torch(monkeypatch):
    random = torch.Generator().manual_seed(2)
    states, weight, bias, residual = (torch.randn(*s, generator=random) for s in ((6, 5), (7, 5), (7,), (6, 7)))
    product = states @ weight.T + bias
    cases = [
        (dict(), product),
        (dict(activation="gelu"), torch.nn.functional.gelu(product)),
        (dict(activation="relu"), product.relu()),
        (dict(add=residual), product + residual),
    ]
    layers = [Linear(weight, bias), Linear(weight, bias, laid_out=True)]
    monkeypatch.setattr("rader_ir.linear._ONEDNN", False)
    layers.append(Linear(weight, bias, laid_out=True))
    assert not layers[-1].onednn
    for layer in layers:
        for options, right in cases:
            assert (layer(states, **options) - right).abs().max() < 1e-5


def test_joined_layers_go_on_with_views():
    layers = [torch.nn.Linear(4, size) for size in (3, 2)]
    before = [layer(torch.ones(4)) for layer in layers]
    weight, bias = joined(layers)
    assert weight.shape == (5, 4) and bias.shape == (5,)
    assert all(layer.weight.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr() for layer in layers)
    assert all(torch.equal(layer(torch.ones(4)), right) for layer, right in zip(layers, before, strict=True))
