"""The benchmarks' arithmetic by hand, their rows and files, and that their ways read the same tokens; nothing is timed."""

import json
from pathlib import Path

import numpy as np
import pytest

import rader_ir.pyserini
from rader_ir import loading
from tests.benchmarks import bright_figures, encode, gpu, made, memory, plumbing, rerank, search, search_kinds
from tests.benchmarks.arithmetic import Shape, decoder_flops, encoder_flops
from tests.benchmarks.ceiling import Products
from tests.benchmarks.rows import Row, report, take_turns

# two layers; matrices 4x4, 4x2, 4x2, 4x4, then 4x6, 4x6, 6x4: 120 numbers
DECODER = Shape(hidden=4, inner=6, layers=2, heads=2, kv_heads=1, gated=True)
# two layers; four matrices 4x4, then 4x6, 6x4: 112 numbers
ENCODER = Shape(hidden=4, inner=6, layers=2, heads=2, kv_heads=2, gated=False)
CONFIG = dict(num_hidden_layers=2, hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96)
ROW = Row("what", 1.0, 2.0, "a peer", 2.0, None, "equal", 0.5, 1)
HOLDING = "WAYS = {'hold': lambda folder: lambda megabytes: bytearray(b'x') * (megabytes * 10**6)}"


def test_weights_of_a_layer():
    assert (DECODER.weights, ENCODER.weights) == (120, 112)


def test_an_encoder_reads_every_token_from_every_token():
    linear = 2 * 112 * (3 + 2)
    products = 2 * 2 * 4 * (3 * 3 + 2 * 2)  # queries with keys, weights with values; a multiply-add counts two
    assert encoder_flops(ENCODER, [3, 2]) == 2 * (linear + products)


def test_a_decoder_computes_its_prefix_once_and_its_last_layer_for_the_last_tokens():
    reads = (1 + 2 + 3) + (4 + 5) + 4  # a prefix of 3, a text of 2 after it, another of 1
    first = 2 * 120 * (3 + 2 + 1) + 2 * 2 * 4 * reads
    keys_values = 2 * (4 * 2 + 4 * 2) * (3 + 2 + 1)
    last = keys_values + 2 * (120 - 16) * 2 + 2 * 2 * 4 * (5 + 4)
    assert decoder_flops(DECODER, [2, 1], prefix=3) == first + last


def test_one_text_costs_the_same_with_or_without_a_part_of_it_called_prefix():
    assert decoder_flops(DECODER, [5]) == decoder_flops(DECODER, [2], prefix=3)


def test_a_shape_is_read_from_configurations():
    from transformers import BertConfig, Qwen2Config

    sizes = dict(hidden_size=4, intermediate_size=6, num_hidden_layers=2, num_attention_heads=2)
    assert Shape.of(BertConfig(**sizes)) == ENCODER
    assert Shape.of(Qwen2Config(**sizes, num_key_value_heads=1)) == DECODER


def test_medians_leave_out_the_turns_that_warm_up():
    moments = iter([0, 0, 7, 0, 1, 0, 2])  # begin and end of each turn; of the first, its begin
    assert take_turns({"way": lambda: None}, 3, lambda: next(moments)) == {"way": 2}
    moments = iter([0, 5, 0, 1, 0, 3])
    assert take_turns({"way": lambda: None}, 3, lambda: next(moments), warm=0) == {"way": 3}


def test_the_file_of_rows_is_plain_json(tmp_path, capsys):
    report([ROW], tmp_path / "rows.json")
    told = json.loads((tmp_path / "rows.json").read_text())
    assert set(told) == {"rows", "machine", "versions"}
    assert told["rows"] == [
        dict(
            row="what",
            ours=1.0,
            peer=2.0,
            peer_name="a peer",
            ratio=2.0,
            goal=None,
            exactness="equal",
            ceiling_fraction=0.5,
            threads=1,
        )
    ]
    assert "| what | 1 | 1 | a peer 2 | 2.00 | - | equal | 50 % |" in capsys.readouterr().out


def test_a_benchmark_that_breaks_off_leaves_the_rows_that_it_had(tmp_path):
    def rows():
        yield ROW
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(rows(), tmp_path / "rows.json")
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 1


def test_the_ceiling_is_that_of_the_fastest_product():
    products = Products(ENCODER, tokens=10, work=2240 * 3)
    assert products.flops == 3 * 2 * 112 * 10
    for way in products.ways.values():
        way()
    seconds = dict.fromkeys(products.ways, 2.0) | {"torch linear": 0.5, "something else": 0.1}
    assert products.ceiling(seconds).rate == products.flops / 0.5


def test_peak_memory_is_the_childs_own(tmp_path, monkeypatch):
    (tmp_path / "holding.py").write_text(HOLDING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    held = bytearray(b"x") * 600_000_000  # what this process holds must not show
    options = dict(threads=1, scratch=tmp_path)
    little, much = (memory.peak("holding", "hold", tmp_path, [size], **options) for size in (1, 301))
    assert much - little == pytest.approx(300, abs=30)
    assert little < 600 < len(held)
    with pytest.raises(RuntimeError, match="KeyError: 'unheard of'"):
        memory.peak("holding", "unheard of", tmp_path, [1], **options)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory) -> Path:
    return made.decoder(tmp_path_factory.mktemp("made"), labels=1, initializer_range=0.1, **CONFIG)


def test_made_texts_have_as_many_tokens_as_asked_for(reranker):
    from transformers import AutoTokenizer

    texts, tokenizer = made.Texts(reranker), AutoTokenizer.from_pretrained(reranker)
    query, docs = texts.text(32), texts.scattered(200, 64)
    lengths = made.lengths_of(docs)
    whole = tokenizer([f"query: {query} document: {doc}{tokenizer.eos_token}" for doc in docs])["input_ids"]
    assert [len(row) for row in whole] == [2 + 32 + 2 + length + 1 for length in lengths]
    assert np.mean(lengths) == pytest.approx(64, rel=0.1)
    assert np.std(lengths) == pytest.approx(0.35 * 64, rel=0.2)
    assert min(lengths) >= 4


def test_rerankers_read_the_same_tokens(reranker):
    texts = made.Texts(reranker)
    query, docs = texts.text(20), texts.scattered(20, 12)
    scores = {name: opener(str(reranker))(query, docs) for name, opener in rerank.WAYS.items()}
    assert scores[rerank.OURS].std() > 0.1
    for name in scores:
        np.testing.assert_allclose(scores[rerank.OURS], scores[name], atol=1e-5, err_msg=name)
        assert "ranking equal" in rerank.exactness(scores, name)


def test_encoders_read_the_same_tokens():
    from rader_ir.checkpoints import find_checkpoint
    from rader_ir.weights import fetch

    folder = str(fetch(find_checkpoint("minilm")).folder)
    texts = encode.load_texts(folder, 6, 3, data=Path("nowhere"))
    assert [len(found.texts) for found in texts.values()] == [6, 3]
    assert max(texts["long"].lengths) <= 256
    alone = encode.open_plain(folder, batch=1)
    for name in (encode.OURS, encode.SENTENCES, encode.PLAIN):
        for found in texts.values():
            vectors = encode.WAYS[name](folder)(found.texts)
            np.testing.assert_allclose(vectors, alone(found.texts), atol=1e-6, err_msg=name)


def test_the_gpus_benchmark_runs_on_a_cpu(tmp_path):
    place = gpu.Place("cpu", {**gpu.qwen2(2, 64), "vocab_size": 8192})
    encoder = place.folder(tmp_path / "encoder", labels=None)
    reranker = place.folder(tmp_path / "reranker", labels=1)
    rows = [*gpu.encode_rows(place, encoder, 3, 1)]
    assert all(loaded.files.folder != Path(encoder) for loaded in loading._live.values())
    rows += gpu.rerank_rows(place, reranker, 3, 1)
    assert len(rows) == 8
    assert all(row.ratio > 0 and row.goal is None for row in rows)
    assert all("cosine 1.0000" in row.exactness for row in rows[:4])


def test_qwen2_7b_is_the_gpus_default():
    told = gpu.qwen2(28, 3584)
    assert (told["num_attention_heads"], told["num_key_value_heads"], told["intermediate_size"]) == (28, 4, 18944)


def test_without_a_gpu_its_benchmark_says_what_to_do(capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "--device cpu" in capsys.readouterr().err


def no_java():
    raise rader_ir.pyserini.PyseriniUnavailable("not in the process that runs all tests")


def test_searches_agree_with_every_peer(tmp_path, monkeypatch):
    pytest.importorskip("pyterrier_dr")
    monkeypatch.setattr(search, "QUERIES", (1, 9))
    monkeypatch.setattr(search, "GOALS", {1: 1.0, 9: 1.0})
    monkeypatch.setattr(search, "_SQUARE", 64)
    monkeypatch.setattr(rader_ir.pyserini, "prepare", no_java)
    rows = list(search.speed_rows(search.make_index(tmp_path, 600, 24), 1, 1))
    assert len(rows) >= 6 and {row.peer_name for row in rows} >= {"faiss Flat", "FlexIndex, torch", "FlexIndex, numpy"}
    for row in rows:
        assert row.exactness.startswith("100.0 % of the top 100 lists equal"), row
        assert row.ratio == pytest.approx(row.peer / row.ours) and row.ceiling_fraction > 0


def test_agreement_counts_equal_lists_and_the_largest_difference():
    one, other = [{"a": 1.0, "b": 0.5}, {"c": 2.0}], [{"b": 0.5, "a": 1.0}, {"c": 2.25}]
    assert search.agreement(one, one) == "100.0 % of the top 100 lists equal, scores within 0e+00"
    assert search.agreement(one, other) == "50.0 % of the top 100 lists equal, scores within 2e-01"


def test_recall_of_other_kinds_is_measured_against_the_flat_search(tmp_path):
    folder = search.make_index(tmp_path, 600, 24)
    rows = list(search_kinds.kind_rows(folder, 1, 1))
    assert [row.row.split(",")[0] for row in rows] == ["fp16", "fp16", "sq8", "sq8", "hnsw", "hnsw"]
    assert all(0.9 < float(row.exactness.split()[1].rstrip(",")) <= 1 for row in rows)
    index = search.Index(folder)
    half = {"flat": [np.arange(10)] * 3, "half": [np.arange(5, 15)] * 3}
    index.search = lambda queries, depth, kind: [(found, found) for found in half[kind]]
    assert search_kinds.recall(index, np.zeros((3, 24)), "half", 10) == 0.5


def test_plumbing_agrees_with_every_peer(monkeypatch):
    pytest.importorskip("pyterrier_dr")
    monkeypatch.setattr(plumbing, "QUERIES", 5)
    rows = plumbing.rerank("toy", plumbing.results(200), 1)
    compared = [row for row in rows if "equal" in row.exactness]
    assert len(compared) >= 4
    for row in compared:
        equal, _, total = row.exactness.split()[:3]
        assert equal == total, row


def test_synthesis_grows_the_trees_of_the_official_order_with_fewer_calls():
    """Three problems without latency: equal trees, all of them, and what is asked twice there is asked once here."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("math_verify")
    from tests.benchmarks import synthesis

    problems = synthesis.demo_problems(3, 0)
    with synthesis.serve_in_process(slots=8) as solver:
        ours, theirs = synthesis.Run(solver.url, problems), synthesis.OfficialRun(solver.url, problems)
    assert ours.trees == theirs.trees and len(ours.trees) == 3
    assert 0 < ours.calls < theirs.waits < theirs.calls
    assert ours.seconds > 0 and theirs.seconds > 0


def test_the_tables_of_brights_figures(shared):
    """Means of the ratings' own order and of what was published; the one task whose mixture can be made; ReasonIR's mean."""
    released, reasonir = bright_figures.released(shared / "data"), bright_figures.reasonir(shared / "data")
    assert len(released) == len(reasonir) == 1 + 12 + 1
    assert released[-2:] == [
        "| theoremqa_theorems | 0.5156 | 0.5156 | 0.5156 | 0.7978 |",
        "| mean | 0.3881 |  | 0.3918 |  |",
    ]
    assert reasonir[-1].startswith("| mean | 0.3059 |")
