"""Attention that is read out beside SDPA: against eager attention of transformers, for every family, with a kept text and cut."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, MistralConfig, MistralModel, Qwen3Config, Qwen3Model

from rader_ir.attention import AttentionReader, attended
from rader_ir.cross_encoder import CrossEncoder
from tests import tiny

LAYERS, HEADS = tiny.SHAPE["num_hidden_layers"], tiny.SHAPE["num_attention_heads"]
GENERATOR = np.random.default_rng(3)
IDS = GENERATOR.integers(5, 300, 60).tolist()
ENDINGS = [GENERATOR.integers(5, 300, size).tolist() for size in (7, 1, 12)]


def other(folder, config_class, model_class, **options):
    tokenizer = tiny.qwen2_tokenizer()
    shape = {**tiny.SHAPE, "vocab_size": len(tokenizer), "num_key_value_heads": 2, **options}
    torch.manual_seed(1)
    model_class(config_class(**shape)).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


FAMILIES = {
    "qwen2 with its head": tiny.qwen2_chat,
    "llama": tiny.llama,
    "qwen3": lambda folder: other(folder, Qwen3Config, Qwen3Model, head_dim=16),
    "mistral with a window of 16": lambda folder: other(folder, MistralConfig, MistralModel, sliding_window=16),
    "qwen2, one group of heads": lambda folder: tiny.qwen2(folder, num_key_value_heads=1),
    "llama, no groups": lambda folder: tiny.llama(folder, num_key_value_heads=4),
}


@pytest.fixture(scope="module", params=FAMILIES.values(), ids=FAMILIES)
def folder(request, tmp_path_factory):
    return str(request.param(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return str(tiny.qwen2_chat(tmp_path_factory.mktemp("qwen"), num_hidden_layers=4))


def eager(folder: str, ids: list[int], rows: int) -> np.ndarray:
    """What the last `rows` tokens attend to, their mean, by transformers' own weights: float32 [layers, heads, tokens]."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        weights = model(torch.tensor([ids]), output_attentions=True).attentions
    return torch.stack([layer[0, :, -rows:].mean(1) for layer in weights]).numpy()


def assert_equal(mass: np.ndarray, weights: np.ndarray) -> None:
    """A sum over layers and heads against those of eager attention [layers, heads, tokens] or [heads, tokens].

    Their mean is equal to 1e-6. The sum need not be: processors round differently, and each head adds its share.
    """
    heads = weights.reshape(-1, weights.shape[-1])
    np.testing.assert_allclose(mass / len(heads), heads.mean(0), rtol=0, atol=1e-6)


def test_equals_eager_attention_and_adds_up(folder):
    """Each softmax adds up to 1, so a mean over tokens does; summed over 2 layers of 4 heads that is 8."""
    masses = AttentionReader(folder, device="cpu").masses(IDS, ENDINGS)
    for ending, mass in zip(ENDINGS, masses, strict=True):
        assert mass.dtype == np.float32 and len(mass) == len(IDS) + len(ending)
        assert_equal(mass, eager(folder, IDS + ending, len(ending)))
        assert mass.sum() == pytest.approx(LAYERS * HEADS, abs=1e-5)


def test_a_text_that_is_read_once_is_as_read_anew(folder):
    """Each ending behind the kept text, in any order, and text and ending as one: the same numbers."""
    reader = AttentionReader(folder, device="cpu")
    kept, turned = reader.masses(IDS, ENDINGS), reader.masses(IDS, ENDINGS[::-1])[::-1]
    for i, ending in enumerate(ENDINGS):
        np.testing.assert_array_equal(kept[i], turned[i])
        np.testing.assert_array_equal(kept[i], reader.masses(IDS, [ending])[0])
        split = 40  # what is read before the cache is used decides nothing
        whole = reader.masses(IDS[:split], [IDS[split:] + ending])[0]
        assert_equal(whole, eager(folder, IDS + ending, len(IDS) - split + len(ending)))
    alone = reader.masses([], [IDS])[0]
    assert_equal(alone, eager(folder, IDS, len(IDS)))


@pytest.mark.parametrize("layers", [(0, 1), (1, 3), (2, 4), (0, 4)])
def test_layers_that_count_and_none_behind_them(qwen, layers):
    reader = AttentionReader(qwen, layers=layers, device="cpu")
    mass = reader.masses(IDS, ENDINGS[:1])[0]
    whole = eager(qwen, IDS + ENDINGS[0], len(ENDINGS[0]))
    assert_equal(mass, whole[slice(*layers)])
    assert len(reader.open().model.layers) == layers[1]


@pytest.mark.parametrize("heads", [[(0, 0)], [(2, 3), (0, 1), (2, 0)], [(3, 1), (3, 1)]])
def test_heads_that_count(qwen, heads):
    reader = AttentionReader(qwen, heads=heads, device="cpu")
    mass = reader.masses(IDS, ENDINGS[:1])[0]
    whole = eager(qwen, IDS + ENDINGS[0], len(ENDINGS[0]))
    assert_equal(mass, np.stack([whole[pair] for pair in sorted(set(heads))]))
    assert mass.sum() == pytest.approx(len(set(heads)), abs=1e-5)
    assert len(reader.open().model.layers) == 1 + max(layer for layer, _ in heads)


@pytest.mark.parametrize("at_once", [1, 37, 500, 10**9])
def test_parts_of_any_size_give_the_same(at_once):
    """Against a softmax over all, in float64; 5 rows at the end of 11 tokens."""
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(heads, rows, 8, generator=generator) for heads, rows in ((6, 5), (2, 11)))
    products = query.double() @ key.double().repeat_interleave(3, 0).transpose(1, 2) * 0.5
    sees = torch.arange(11)[None] <= torch.arange(6, 11)[:, None]
    weights = products.masked_fill(~sees, -torch.inf).softmax(-1)
    for heads in ([0, 1, 2, 3, 4, 5], [5], [1, 3]):
        wanted = weights[heads].sum((0, 1)).float()
        for mask in (None, sees, torch.where(sees, 0.0, -1e9)):
            got = attended(query, key, scale=0.5, heads=heads, mask=mask, at_once=at_once)
            torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)


def test_bfloat16_is_near():
    """Products are made in float32 from states of 8 bits: within a hundredth of all attention."""
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(heads, rows, 8, generator=generator) for heads, rows in ((4, 5), (2, 11)))
    exact = attended(query, key, scale=0.3, heads=range(4))
    near = attended(query.bfloat16(), key.bfloat16(), scale=0.3, heads=range(4))
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, atol=0.01 * 4 * 5, rtol=0)
    assert near.sum().item() == pytest.approx(4 * 5, abs=1e-4)


def test_a_reranker_that_shares_the_folder_is_left_as_it_is(tmp_path):
    """The reader's model is its own: a cross-encoder opened before scores the same after it."""
    folder = str(tiny.qwen2(tmp_path, labels=1))
    reranker = CrossEncoder(folder, device="cpu")
    before = reranker.score(["odd cycle"], [["a graph", "a field"]])[0]
    mass = AttentionReader(folder, layers=(0, 1), device="cpu").masses(IDS, ENDINGS[:1])[0]
    assert mass.sum() == pytest.approx(HEADS, abs=1e-5)
    np.testing.assert_array_equal(reranker.score(["odd cycle"], [["a graph", "a field"]])[0], before)


def test_unloaded_and_opened_again(qwen):
    reader = AttentionReader(qwen, device="cpu")
    before = reader.masses(IDS, ENDINGS[:1])[0]
    reader.unload()
    np.testing.assert_array_equal(reader.masses(IDS, ENDINGS[:1])[0], before)
    assert reader.context == 512


def test_what_it_says_of_itself(qwen):
    prints = {
        AttentionReader(qwen, device="cpu", **options).fingerprint()
        for options in ({}, {"layers": (0, 2)}, {"heads": [(0, 1)]}, {"dtype": "bfloat16"}, {})
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"layers": (2, 9)}, r"layers are \(2, 9\); .* has 4"),
        ({"heads": [(0, 1), (4, 0)]}, r"heads hold \(4, 0\); .* has 4 layers of 4 heads"),
        ({"heads": [(0, 4)]}, r"heads hold \(0, 4\)"),
    ],
)
def test_layers_and_heads_that_the_model_has_not(qwen, options, told):
    with pytest.raises(ValueError, match=told):
        AttentionReader(qwen, device="cpu", **options).masses(IDS, ENDINGS)


def test_models_whose_attention_is_not_read(tmp_path):
    with pytest.raises(ValueError, match="model type 'bert' is not read; take an instruct model of type llama"):
        AttentionReader(str(tiny.bert(tmp_path / "bert")), device="cpu").open()
    with pytest.raises(ValueError, match="'int8' is for encoders"):
        AttentionReader("minilm", dtype="int8")
    turning = dict(rope_type="dynamic", rope_theta=1e4, factor=2.0, original_max_position_embeddings=64)
    folder = tiny.llama(tmp_path / "llama", rope_parameters=turning)
    with pytest.raises(ValueError, match="'dynamic' change with what follows"):
        AttentionReader(str(folder), device="cpu").open()


def test_numbers_that_are_none_are_told(tmp_path):
    folder = tiny.qwen2(tmp_path)
    reader = AttentionReader(str(folder), device="cpu")
    with torch.no_grad():
        reader.open().model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"no finite numbers in torch\.float32; take dtype 'bfloat16'"):
        reader.masses(IDS, ENDINGS)
