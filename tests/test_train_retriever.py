"""Training a retriever: it learns a toy set, its cache changes nothing, and its texts go the serving way."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from rader_ir.checkpoints import find_checkpoint
from rader_ir.encoder import Encoder
from rader_ir.examples import Example, Passage
from rader_ir.loading import live
from rader_ir.train import losses, sampling
from rader_ir.train.models import open_base, open_model
from rader_ir.train.retriever import Groups, Reader, info_nce, plan, train_retriever
from rader_ir.train.settings import RetrieverOptions
from tests import tiny
from tests.toy_training import QUICK, examples

CHAT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


pytestmark = pytest.mark.usefixtures("one_thread")


def options(checkpoint, **changed) -> RetrieverOptions:
    return RetrieverOptions(str(checkpoint), **{**QUICK, **changed})


def right_first(folder, learned) -> float:
    """Share of the queries whose positive has the highest score among all passages."""
    passages = list(dict.fromkeys(p.text for e in learned for p in (*e.positives, *e.negatives)))
    encoder = Encoder(folder)
    scores = encoder.encode_queries([e.query for e in learned]) @ encoder.encode_docs(passages).T
    return float(np.mean([passages[i] == e.positives[0].text for i, e in zip(scores.argmax(1), learned, strict=True)]))


@pytest.mark.parametrize(
    ("base", "changed"),
    [
        ("tiny_qwen2", {"epochs": 20}),
        ("minilm", {"epochs": 20, "eval_steps": 20, "learning_rate": 3e-4, "lora": False, "temperature": 0.05}),
    ],
)
def test_a_toy_set_is_learned_by_heart(request, tmp_path, base, changed):
    """MiniLM, which needs no training to find what a query names, learns answers that have nothing to do with it."""
    learned, checkpoint = examples(), base
    if base == "minilm":
        learned = [replace(e, positives=learned[(i + 5) % 16].positives) for i, e in enumerate(learned)]
    else:
        checkpoint = request.getfixturevalue(base)
    assert right_first(checkpoint, learned) < 0.5
    folder = train_retriever(options(checkpoint, **changed), examples=learned, out=tmp_path / "made", dev=learned)
    assert right_first(folder, learned) == 1
    log = [json.loads(line) for line in (folder / "training" / "log.jsonl").read_text().splitlines()]
    measured = [line["dev_nDCG@10"] for line in log if "dev_nDCG@10" in line]
    assert max(measured) == 1
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < 0.1 * losses[0]


def gradients(base, opened):
    """Loss and gradient of one batch of 8, with the model as `open_model` makes it from the seed."""
    batch = Groups(examples(8), base, opened).read(list(range(8)))
    torch.manual_seed(0)
    model = SentenceTransformer(modules=[Reader(open_model(base, opened), base.checkpoint.pooling)])
    names = [name.removesuffix("_input_ids") for name in batch if name.endswith("_input_ids")]
    columns = [{part: batch[f"{name}_{part}"] for part in ("input_ids", "attention_mask")} for name in names]
    loss = info_nce(model, opened)(columns, None)
    loss.backward()
    return loss.item(), torch.cat([w.grad.flatten() for w in model.parameters() if w.requires_grad])


@pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
def test_a_batch_of_8_in_pieces_of_1_is_a_batch_of_8(tiny_qwen2, lora):
    whole = options(tiny_qwen2, lora=lora, temperature=0.05)
    base = open_base(whole, "vector")
    loss, gradient = gradients(base, whole)
    pieces, other = gradients(base, options(tiny_qwen2, lora=lora, temperature=0.05, piece_size=1))
    assert abs(pieces - loss) < 1e-5 * loss
    assert (other - gradient).abs().max() < 1e-5 * gradient.abs().max()
    assert gradient.abs().max() > 0


def test_the_loss_is_info_nce_over_all_documents_of_the_batch(tiny_qwen2):
    """Oracle: our own `info_nce` on vectors that the serving encoder made."""
    opened = options(tiny_qwen2, lora=False, temperature=0.01)
    base = open_base(opened, "vector")
    loss, _ = gradients(base, opened)
    encoder = Encoder(tiny_qwen2)
    queries = torch.tensor(encoder.encode_queries([e.query for e in examples(8)]))
    chosen = [sampling.choose(e, seed=0, epoch=0, negatives=2) for e in examples(8)]
    texts = [positive.text for positive, _ in chosen] + [p.text for _, others in chosen for p in others]
    wanted = losses.info_nce(queries, torch.tensor(encoder.encode_docs(texts)), torch.arange(8), 0.01).item()
    assert abs(loss - wanted) < 1e-4 * wanted


def test_long_texts_are_cut_before_the_end_token(tiny_qwen2):
    opened = options(tiny_qwen2, max_query_length=8, max_doc_length=16, negatives=1)
    base = open_base(opened, "vector")
    long = Example("q", "a prime " * 50, (Passage("p", "an odd number " * 50),), (Passage("n", "short"),))
    batch = Groups([long], base, opened).read([0])
    end = base.tokenizer.eos_token_id
    assert batch["query_input_ids"].shape == (1, 8) and batch["positive_input_ids"].shape == (1, 16)
    assert batch["query_input_ids"][0, -1] == batch["positive_input_ids"][0, -1] == end
    assert batch["negative0_input_ids"][0].tolist() == base.tokens.texts(["document: short"], 16).rows[0]


def test_a_chat_template_changes_nothing(tiny_qwen2, tmp_path):
    """Two bases that differ by a chat template alone: same ids, same weights, and same vectors in sentence-transformers."""
    tokenizer = tiny.qwen2_tokenizer()
    tokenizer.chat_template = CHAT
    chatty = tiny.qwen2(tmp_path / "chatty")
    tokenizer.save_pretrained(chatty)
    assert SentenceTransformer(str(chatty)).tokenizer.chat_template  # it would be used: the trap is there
    texts = ["what is prime 0?", "the law of large numbers " * 100]
    made = [
        train_retriever(options(base, max_steps=2), examples=examples(), out=tmp_path / name)
        for name, base in (("plain", tiny_qwen2), ("templated", chatty))
    ]
    plain, templated = (Encoder(folder).encode_queries(texts) for folder in made)
    assert np.array_equal(plain, templated)
    assert np.abs(SentenceTransformer(str(made[1])).encode_query(texts) - templated).max() < 1e-5


def test_an_adapter_is_trained_on(tiny_qwen2, tmp_path):
    """Two steps, the adapter saved, no further step worth mentioning: the second folder gives the first one's vectors."""
    first = train_retriever(options(tiny_qwen2, max_steps=2, merged=False), examples=examples(), out=tmp_path / "first")
    again = options(first, max_steps=1, merged=False, learning_rate=1e-12)
    second = train_retriever(again, examples=examples(), out=tmp_path / "second")
    config = json.loads((second / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_qwen2)
    vectors = [Encoder(folder).encode_docs(tiny.SENTENCES) for folder in (tiny_qwen2, first, second)]
    assert np.abs(vectors[1] - vectors[2]).max() < 1e-5
    assert np.abs(vectors[1] - vectors[0]).max() > 0.01


def test_an_adapter_of_another_base_is_refused(tiny_qwen2, tmp_path):
    folder = train_retriever(options(tiny_qwen2, max_steps=1, merged=False), examples=examples(), out=tmp_path / "made")
    other = tiny.qwen2(tmp_path / "other", hidden_size=48)
    for name in ("adapter_config.json", "rader_config.json"):
        path = folder / name
        path.write_text(path.read_text().replace(str(tiny_qwen2), str(other)))
    for lora in (True, False):  # the second call finds what the first one left
        with pytest.raises(ValueError, match="trained for another base"):
            train_retriever(options(folder, lora=lora), examples=examples(), out=tmp_path / "refused")


@pytest.mark.parametrize("make", [tiny.qwen2, tiny.bert])
def test_an_adapter_of_another_base_of_equal_shapes_is_refused(make, tmp_path):
    """Its own base is known in other files and another type, a like one of other weights is not taken for it."""
    own, other = make(tmp_path / "own", seed=0), make(tmp_path / "other", seed=1)
    folder = train_retriever(options(own, max_steps=1, merged=False), examples=examples(), out=tmp_path / "made")
    expected = Encoder(folder).encode_docs(tiny.SENTENCES)
    for name, dtype in (("copy", torch.float32), ("bfloat16", torch.bfloat16)):
        shutil.copytree(own, tmp_path / name)
        (tmp_path / name / "model.safetensors").unlink()
        AutoModel.from_pretrained(own, dtype=dtype).save_pretrained(tmp_path / name, max_shard_size="20KB")
    assert len(list((tmp_path / "copy").glob("*.safetensors"))) > 1

    def over(base):
        for path in (folder / "adapter_config.json", folder / "rader_config.json"):
            key = "base_model_name_or_path" if path.name == "adapter_config.json" else "base"
            path.write_text(json.dumps({**json.loads(path.read_text()), key: str(base)}))
        return folder

    assert np.array_equal(Encoder(over(tmp_path / "copy")).encode_docs(tiny.SENTENCES), expected)
    assert np.abs(Encoder(over(tmp_path / "bfloat16")).encode_docs(tiny.SENTENCES) - expected).max() < 0.05
    with pytest.raises(ValueError, match=r"made was trained for another base: weights of its '.*' are \[.*set `base`"):
        Encoder(over(other)).encode_docs(["a"])
    for lora in (True, False):
        with pytest.raises(ValueError, match="was trained for another base"):
            train_retriever(options(folder, lora=lora), examples=examples(), out=tmp_path / "refused")


def test_examples_without_negatives(tiny_qwen2, tmp_path):
    bare = [*examples(), *examples(2, negatives=0, first=16)]
    with pytest.raises(ValueError, match=r"2 of 18 examples have no negatives.*'q16', 'q17'.*rader mine"):
        train_retriever(options(tiny_qwen2), examples=bare, out=tmp_path / "made")
    folder = train_retriever(options(tiny_qwen2, negatives=0, max_steps=1), examples=bare, out=tmp_path / "made")
    assert (folder / "model.safetensors").is_file()


def test_wrong_input_is_told_before_anything_is_made(tiny_qwen2, tiny_qwen2_reranker, tmp_path):
    cases = [
        (options(tiny_qwen2), [], "no examples to train on"),
        (options(tiny_qwen2_reranker), examples(), "scores pairs; a retriever starts from an encoder"),
        (options(tiny_qwen2, lora_targets=["query"]), examples(), "none of lora_targets .* it has .*q_proj"),
        (options(tiny_qwen2, max_doc_length=513), examples(), "positions for 512 tokens; lower it"),
        (options(tiny_qwen2, doc_form="{text}!"), examples(), "which sentence-transformers cannot write"),
    ]
    for given, learned, words in cases:
        with pytest.raises(ValueError, match=words):
            train_retriever(given, examples=learned, out=tmp_path / "made")
    with pytest.raises(ValueError, match="empty"):
        Example("q", "", (Passage("p", "a"),))


def test_each_device_gets_its_share_of_every_batch():
    learned = examples(16)
    alone, shared = (plan(learned, RetrieverOptions("x", batch_size=8, epochs=2, negatives=2), n) for n in (1, 2))
    assert [shared[i] + shared[i + 1] for i in range(0, len(shared), 2)] == alone
    assert {len(batch) for batch in shared} == {4}
    with pytest.raises(ValueError, match="batch_size 9 does not split among 2 devices"):
        plan(learned, RetrieverOptions("x", batch_size=9), 2)


@pytest.mark.parametrize("base", ["tiny_bert", "tiny_qwen2"])
def test_dropout_of_the_checkpoint_is_as_asked(request, base):
    """Half of everything dropped makes two readings differ; none, in training mode, makes them equal."""
    checkpoint = request.getfixturevalue(base)
    ids = torch.arange(5, 15).reshape(2, 5)
    for share, equal in ((0.5, False), (0.0, True)):
        opened = options(checkpoint, dropout=share)
        model = open_model(open_base(opened, "vector"), opened)
        assert model.training
        first, second = (model(input_ids=ids, attention_mask=torch.ones_like(ids))[0] for _ in range(2))
        assert torch.equal(first, second) == equal


@pytest.mark.parametrize("merged", [True, False], ids=["merged", "adapter"])
def test_interpolation_goes_part_of_the_way(tmp_path, merged):
    """Oracle: of a linear layer, base + 0.25 * (trained - base); and what was measured is what the folder holds."""
    learned = examples()
    given = dict(epochs=3, learning_rate=3e-3, merged=merged, lora_alpha=8, lora_rank=4)
    whole, part = (
        train_retriever(
            options("minilm", **given, interpolation=share), examples=learned, out=tmp_path / str(share), dev=learned
        )
        for share in (1, 0.25)
    )
    layers = [
        live(find_checkpoint(str(checkpoint)), dtype="float32").model.get_parameter(
            "encoder.layer.3.output.dense.weight"
        )
        for checkpoint in ("minilm", part, whole)
    ]
    start, reached, end = (layer.detach() for layer in layers)
    assert (end - start).abs().max() > 1e-4
    torch.testing.assert_close(reached, start + 0.25 * (end - start), atol=1e-6, rtol=0)
    measured = json.loads((part / "training" / "run_card.json").read_text())["figures"]["nDCG@10"]
    assert measured["chosen"] == pytest.approx(ndcg(part, learned), abs=1e-6)


def ndcg(folder, learned) -> float:
    """Of each query's one positive among all passages."""
    passages = list(dict.fromkeys(p.text for e in learned for p in (*e.positives, *e.negatives)))
    encoder = Encoder(folder)
    scores = encoder.encode_queries([e.query for e in learned]) @ encoder.encode_docs(passages).T
    places = [(row > row[passages.index(e.positives[0].text)]).sum() for row, e in zip(scores, learned, strict=True)]
    return float(np.mean([1 / np.log2(place + 2) if place < 10 else 0.0 for place in places]))


def test_interpolation_needs_an_adapter_of_its_own(tiny_qwen2, tmp_path):
    with pytest.raises(ValueError, match=r"interpolation is 0\.5; less than 1 needs lora = true"):
        options(tiny_qwen2, interpolation=0.5, lora=False)
    adapter = train_retriever(options(tiny_qwen2, merged=False), examples=examples(8), out=tmp_path / "adapter")
    with pytest.raises(ValueError, match=r"is an adapter, of which interpolation 0\.5 would take a part as well"):
        train_retriever(options(adapter, interpolation=0.5), examples=examples(8), out=tmp_path / "made")
