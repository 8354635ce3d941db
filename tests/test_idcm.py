"""IDCM's parts against plain loops: windows, sums of scores, the selector; then whole documents against the library's model."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rader_ir.cross_encoder import CrossEncoder
from rader_ir.idcm import (
    MEANS,
    IDCMConfig,
    Selector,
    aggregate,
    frames,
    new_weights,
    query_states,
    read_config,
    read_weights,
    select_scores,
    spans,
    write_idcm,
)
from rader_ir.rerank import open_reranker
from rader_ir.rerank.idcm import IDCM
from tests import tiny
from tests.idcm_folder import made, text
from tests.thousand import candidates, reranked

QUERIES = ["law of large numbers", "odd cycle graph determinant", "prove"]
DOCS = [[text(40), text(3), "", text(11, 5)], [text(40), text(29, 3)], [text(12, 7), text(13, 7), text(13, 7)]]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("idcm") / "strong", labels=1)


@pytest.fixture(scope="module")
def folder(bert, tmp_path_factory):
    return made(tmp_path_factory.mktemp("idcm") / "made", bert)


def test_cores_tile_documents_of_every_length():
    """Each position is in exactly one core, and a window is its core with at most 7 tokens more on either side."""
    for length in range(1, 2001):
        windows = spans(length, 50, 7)
        assert len(windows) == math.ceil(length / 50)
        cores = [range(p * 50, min(length, p * 50 + 50)) for p in range(len(windows))]
        assert [place for core in cores for place in core] == list(range(length))
        for core, (begin, end) in zip(cores, windows, strict=True):
            assert (begin, end) == (max(0, core.start - 7), min(length, core.start + 57))


@pytest.mark.parametrize(("core", "overlap"), [(50, 7), (6, 2), (5, 0), (1, 3)])
def test_framed_windows_hold_the_same_tokens_as_spans(core, overlap):
    for length in [*range(40), 101, 1999]:
        ids, mask = frames(range(1, length + 1), core, overlap, pad_id=0)
        windows = spans(length, core, overlap)
        assert ids.shape == mask.shape == (len(windows), core + 2 * overlap)
        assert (ids[~mask] == 0).all()
        for p, (begin, end) in enumerate(windows):
            assert ids[p][mask[p]].tolist() == list(range(begin + 1, end + 1))
            if end > begin:  # the core's first token stands behind the overlap
                assert ids[p][overlap] == p * core + 1


@pytest.mark.parametrize(
    ("missing", "expected"),
    # weights 1, .5, .25: of -5 alone, of -5 and 1, of 4, 3, 2 (and 1, which does not count)
    [
        ("zero", [-5.0, 1 - 2.5, 4 + 1.5 + 0.5]),
        ("mean", [-5 * 1.75, 1 - 2.5 - 2 * 0.25, 6.0]),
        ("renormalise", [-5 * 1.75, (1 - 2.5) * 1.75 / 1.5, 6.0]),
    ],
)
def test_sums_of_the_best_scores_by_hand(missing, expected):
    scores = torch.tensor([[9.0, -5.0, 9.0, 9.0], [-5.0, 9.0, 9.0, 1.0], [1.0, 3.0, 4.0, 2.0]])
    mask = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 1], [1, 1, 1, 1]]).bool()
    found = aggregate(scores, mask, torch.tensor([1.0, 0.5, 0.25]), missing)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_more_weights_than_windows():
    found = aggregate(torch.tensor([[2.0], [-2.0]]), torch.ones(2, 1, dtype=torch.bool), torch.ones(3), "zero")
    assert found.tolist() == [2.0, -2.0]


@pytest.mark.parametrize("sizes", [{}, {"projected": 5, "channels": 4}])
def test_the_selector_against_plain_loops(sizes):
    """Convolution, norms, kernels and sums written out position by position in float64."""
    torch.manual_seed(0)
    selector = Selector(8, **sizes)
    torch.nn.init.normal_(selector.combine.weight)
    torch.nn.init.uniform_(selector.scale)
    query, window = torch.randn(3, 8), torch.randn(6, 8)
    mask = [False, True, True, True, True, False]
    with torch.inference_mode():
        states = [selector.states(part[None]) for part in (query, window)]
        found = selector(states[0], torch.ones(1, 3, dtype=torch.bool), states[1], torch.tensor([mask])).item()
    assert found == pytest.approx(by_loops(selector, query, window, mask), abs=1e-5)


def by_loops(selector: Selector, query, window, mask) -> float:
    weights = {name: tensor.double().numpy() for name, tensor in selector.state_dict().items()}

    def states(embedded):
        rows = [row.double().numpy() for row in embedded]
        if "project.weight" in weights:
            rows = [weights["project.weight"] @ row + weights["project.bias"] for row in rows]
        out = []
        for t in range(len(rows)):
            made = weights["convolve.bias"].copy()
            for step in range(3):
                if t + step < len(rows):
                    made += weights["convolve.weight"][:, :, step] @ rows[t + step]
            made = np.maximum(made, 0)
            out.append(made / max(np.sqrt((made**2).sum()), 1e-12))
        return out

    ours, theirs, total = states(query), states(window), 0.0
    for k, mean in enumerate(MEANS):
        for q in ours:
            near = sum(
                math.exp(-((float(q @ w) - mean) ** 2) / 0.02) for w, there in zip(theirs, mask, strict=True) if there
            )
            total += weights["combine.weight"][0, k] * math.log(max(near * weights["scale"][k], 1e-4))
    return total


def test_a_querys_states_do_not_hang_on_longer_queries_beside_it():
    selector, table = new_weights(IDCMConfig("none", projected=4), 8)[0], torch.randn(20, 8)
    device = torch.device("cpu")
    together, mask = query_states(selector, lambda ids: table[ids], [[3, 4], [5, 6, 7, 8, 9]], device)
    alone, _ = query_states(selector, lambda ids: table[ids], [[3, 4]], device)
    assert mask.sum(dim=1).tolist() == [2, 5]
    torch.testing.assert_close(together[0, :2], alone[0])


def test_windows_of_many_documents_are_scored_as_one_by_one(monkeypatch):
    """Chunks of windows and of pairs, small here so that all their edges are met, against a loop."""
    monkeypatch.setattr("rader_ir.idcm._WINDOWS", 4)
    monkeypatch.setattr("rader_ir.idcm._CELLS", 100)
    torch.manual_seed(0)
    selector, table, device = new_weights(IDCMConfig("none"), 8)[0], torch.randn(30, 8), torch.device("cpu")
    torch.nn.init.normal_(selector.combine.weight)
    queries = [[1], [2, 3, 4, 5], [6, 7]]
    docs = [frames([(7 * i + d) % 30 for i in range(length)], 4, 1, 0) for d, length in enumerate((9, 1, 33, 4))]
    pairs = [(0, 2), (0, 0), (2, 2), (1, 1), (1, 2), (2, 3)]
    found = select_scores(selector, lambda ids: table[ids], queries, docs, pairs, device)
    assert [len(scores) for scores in found] == [9, 3, 9, 1, 9, 1]
    for (query, doc), scores in zip(pairs, found, strict=True):
        states, mask = query_states(selector, lambda ids: table[ids], [queries[query]], device)
        for ids, there, score in zip(*docs[doc], scores, strict=True):
            window = selector.states(table[torch.from_numpy(ids)][None])
            assert score == pytest.approx(
                selector(states, mask, window, torch.from_numpy(there)[None]).item(), abs=1e-4
            )


def independent(strong, folder, query: str, doc: str, config: IDCMConfig) -> tuple[float, set[int]]:
    """A document's score by the library's model and loops: windows, selection, strong scores, weighted sum; and what was read."""
    tokenizer = AutoTokenizer.from_pretrained(strong)
    model = AutoModelForSequenceClassification.from_pretrained(strong).eval()
    selector, weights = read_weights(folder, config, model.config.hidden_size)
    cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    asked = [cls, *tokenizer(query, add_special_tokens=False)["input_ids"], sep]
    ids = tokenizer(doc, add_special_tokens=False)["input_ids"] + ([sep] if config.ends == "document" else [])
    windows, light, heavy = [], [], []
    with torch.inference_mode():
        for start in range(0, max(1, len(ids)), config.core):
            places = range(start - config.overlap, start + config.core + config.overlap)
            windows.append([ids[i] for i in places if 0 <= i < len(ids)])
            padded = torch.tensor([[ids[i] if 0 <= i < len(ids) else pad for i in places]])
            embedded = model.bert.embeddings(padded)[0]
            there = [0 <= i < len(ids) for i in places]
            light.append(by_loops(selector, model.bert.embeddings(torch.tensor([asked]))[0], embedded, there))
        for window in windows:
            behind = [] if config.ends == "document" else [sep]
            types = [0] * len(asked) + [1] * (len(window) + len(behind))
            row = torch.tensor([[*asked, *window, *behind]])
            heavy.append(model(input_ids=row, token_type_ids=torch.tensor([types])).logits.item())
    read = sorted(range(len(windows)), key=lambda p: -light[p])[: config.passages]
    best = sorted((heavy[p] for p in read), reverse=True)[: config.best]
    return sum(weight * score for weight, score in zip(weights.tolist(), best, strict=False)), set(read)


@pytest.mark.parametrize("changed", [{}, {"ends": "document"}, {"projected": 16, "channels": 8}])
def test_the_forward_equals_an_independent_computation(bert, tmp_path, changed):
    folder = made(tmp_path, bert, **changed)
    reranker = IDCM(folder, dtype="float32", device="cpu")
    found = reranker.read(QUERIES, DOCS)
    for query, texts, readings in zip(QUERIES, DOCS, found, strict=True):
        for doc, reading in zip(texts, readings, strict=True):
            score, read = independent(bert, folder, query, doc, read_config(folder))
            assert set(reading.windows) == read
            assert reading.score == pytest.approx(score, abs=1e-5)


def test_many_queries_at_once_equal_a_loop(folder):
    reranker = IDCM(folder, batch_tokens=64)
    together = reranker.read(QUERIES, DOCS)
    for query, texts, readings in zip(QUERIES, DOCS, together, strict=True):
        for doc, reading in zip(texts, readings, strict=True):
            alone = IDCM(folder).read([query], [[doc]])[0][0]
            assert (alone.windows, alone.snippets, alone.total) == (reading.windows, reading.snippets, reading.total)
            np.testing.assert_allclose(alone.scores, reading.scores, atol=1e-5)
            assert alone.score == pytest.approx(reading.score, abs=1e-5)


def test_as_many_passages_as_windows_is_full_scoring(folder, bert):
    """Every window scored by the cross-encoder, and the two best by their weights."""
    reranker, strong = IDCM(folder, passages=99), CrossEncoder(bert)
    _, weights = read_weights(folder, reranker.config, 32)
    [[reading]] = reranker.read([QUERIES[0]], [[text(40)]])
    assert sorted(reading.windows) == list(range(reading.total)) and reading.total > 6
    # whole words only, so that a window's text has the window's ids
    [scores] = strong.score([QUERIES[0]], [list(reading.snippets)])
    np.testing.assert_allclose(reading.scores, scores, atol=1e-5)
    assert reading.score == pytest.approx(float((np.sort(scores)[::-1][:2] * weights.numpy()).sum()), abs=1e-5)
    assert reranker.windows_read == reranker.windows_seen == reading.total


def test_the_strong_model_reads_few_windows(folder):
    reranker = IDCM(folder)
    [readings] = reranker.read([QUERIES[0]], [DOCS[0]])
    assert [len(reading.windows) for reading in readings] == [min(3, reading.total) for reading in readings]
    assert reranker.windows_read == sum(len(reading.windows) for reading in readings)
    assert reranker.windows_seen == sum(reading.total for reading in readings) > reranker.windows_read
    assert reranker.work[0] == reranker.windows_read < reranker.work[1]


def test_snippets_are_the_windows_texts_best_first(folder):
    [[reading]] = IDCM(folder).read([QUERIES[0]], [[text(40)]])
    assert np.all(np.diff(reading.scores) <= 0)
    tokenizer = AutoTokenizer.from_pretrained(read_config(folder).strong)
    ids = tokenizer(text(40), add_special_tokens=False)["input_ids"]
    for window, snippet in zip(reading.windows, reading.snippets, strict=True):
        begin, end = spans(len(ids), 6, 2)[window]
        assert tokenizer(snippet, add_special_tokens=False)["input_ids"] == ids[begin:end]


def test_an_empty_document_has_one_empty_window(folder):
    """[CLS] query [SEP] [SEP], scored by the library; one window, so that its score stands alone."""
    [[reading]] = IDCM(folder).read([QUERIES[0]], [[""]])
    score, read = independent(read_config(folder).strong, folder, QUERIES[0], "", read_config(folder))
    assert (reading.windows, reading.snippets, reading.total, read) == ((0,), ("",), 1, {0})
    assert reading.score == pytest.approx(score, abs=1e-5)


def test_lists_that_may_be_empty(folder):
    reranker = IDCM(folder)
    assert reranker.score([], []) == []
    one, none = reranker.score(["a", "b"], [["law"], []])
    assert (one.shape, none.shape, one.dtype) == ((1,), (0,), np.float32)
    twice = reranker.score(["a", "a"], [[text(30), text(30)], [text(30)]])
    assert twice[0].tolist() == [twice[1][0]] * 2


@pytest.mark.parametrize("ends", ["window", "document"])
def test_a_decoder_is_a_strong_model_too(tiny_qwen2_reranker, tmp_path, ends):
    """Where one window holds the whole document, the score is the cross-encoder's of the two texts, times the weight."""
    folder = made(tmp_path, tiny_qwen2_reranker, ends=ends, core=60)
    documents = [text(3), text(5, 4), "odd"]
    found, weights = IDCM(folder).score([QUERIES[0]], [documents])[0], read_weights(folder, read_config(folder), 32)[1]
    [expected] = CrossEncoder(tiny_qwen2_reranker).score([QUERIES[0]], [documents])
    np.testing.assert_allclose(found, expected * weights[0].item(), atol=1e-4)
    long = IDCM(made(tmp_path / "small", tiny_qwen2_reranker, ends=ends)).read([QUERIES[0]], [[text(40)]])[0][0]
    assert long.total > 3 and len(long.windows) == 3 and np.isfinite(long.score)


@given(st.text(max_size=60), st.text(max_size=400))
def test_any_text_has_a_finite_score(folder, query, doc):
    reading = IDCM(folder).read([query], [[doc]])[0][0]
    assert np.isfinite(reading.score) and all(snippet in doc for snippet in reading.snippets)


def test_lengths_cut_queries_and_documents(folder):
    short = IDCM(folder, max_doc_length=12, max_query_length=2)
    [[cut, whole]] = short.read(["law large numbers"], [[text(40), text(1)]])
    assert (cut.total, short.truncated) == (2, 2)  # the query and one document
    [[same]] = IDCM(folder, max_doc_length=12).read(["law large"], [[text(40)]])
    assert same.score == pytest.approx(cut.score, abs=1e-6)
    assert whole.total == 1


def test_folders_read_back_and_name_what_is_wrong(folder, bert, tmp_path):
    config = read_config(folder)
    selector, weights = read_weights(folder, config, 32)
    write_idcm(tmp_path, config, selector, weights)
    again, others = read_weights(tmp_path, read_config(tmp_path), 32)
    assert torch.equal(others, weights)
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in selector.state_dict().items())
    with pytest.raises(ValueError, match="does not fit a strong model whose embeddings have 48 numbers"):
        read_weights(tmp_path, config, 48)
    with pytest.raises(FileNotFoundError, match=r"holds no idcm\.json, so it is no IDCM"):
        IDCM(bert)
    (tmp_path / "idcm.json").write_text('{"strong": "x", "cores": 3}')
    with pytest.raises(ValueError, match="fields that are unknown: cores"):
        read_config(tmp_path)
    (tmp_path / "idcm.json").write_text('{"strong": "x", "core": 0}')
    with pytest.raises(ValueError, match="core is 0; give a whole number, 1 or more"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"missing": "none"}, "missing is 'none'; choose 'zero', 'mean', 'renormalise'"),
        ({"passages": 0}, "passages is 0; give a whole number, 1 or more"),
        ({"max_length": 5}, "max_length"),
        ({"window": 5}, "window"),
    ],
)
def test_wrong_options(folder, options, words):
    with pytest.raises(ValueError, match=words):
        open_reranker("idcm", checkpoint=folder, **options)


def test_a_long_query_is_cut_so_that_a_window_has_room(bert, tmp_path):
    """512 positions: [CLS] 499 [SEP] and 10 [SEP]; words are whole tokens, of which the query keeps the first 499."""
    folder, words = made(tmp_path, bert), ["law", "odd"] * 300
    reranker = IDCM(folder)
    [long], [short] = reranker.read([" ".join(words), " ".join(words[:499])], [[text(30)], [text(30)]])
    assert (long.windows, long.score) == (short.windows, pytest.approx(short.score, abs=1e-6))
    assert reranker.truncated == 1
    with pytest.raises(ValueError, match="windows of 520 tokens leave no room for a query within the 512"):
        IDCM(made(tmp_path / "wide", bert, core=500, overlap=10)).score(["law"], [["odd"]])


def test_fingerprints_follow_weights_and_options(folder, bert, tmp_path):
    prints = [IDCM(folder, **options).fingerprint() for options in ({}, {}, {"passages": 2}, {"missing": "mean"})]
    prints.append(IDCM(made(tmp_path, bert, seed=2)).fingerprint())
    assert prints[0] == prints[1] and len(set(prints)) == 4


def test_unloaded_it_opens_again(folder):
    reranker = IDCM(folder)
    before = reranker.score(QUERIES, DOCS)
    reranker.unload()
    for one, other in zip(before, reranker.score(QUERIES, DOCS), strict=True):
        assert one.tolist() == other.tolist()


def test_a_thousand_candidates_with_equal_texts_among_them(bert, tmp_path):
    """Of one or two windows each, of which the selector chooses one."""
    small = made(tmp_path / "small", bert, core=2, overlap=1, passages=1, best=1)
    scores = reranked(IDCM(small), tmp_path, query=QUERIES[0])
    some = range(0, 1000, 99)
    alone = [IDCM(small).score(QUERIES[:1], [[candidates()[place]]])[0][0] for place in some]
    np.testing.assert_allclose(scores[some], alone, atol=1e-4)
