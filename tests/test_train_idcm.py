"""Training IDCM: a selector learns its teacher's windows, documents are learned, runs go on, folders open with equal scores."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rader_ir.cli import main
from rader_ir.cross_encoder import CrossEncoder
from rader_ir.examples import Example, Passage, write_examples
from rader_ir.idcm import IDCMConfig, read_config, read_weights
from rader_ir.rerank.idcm import IDCM
from rader_ir.train import losses
from rader_ir.train.idcm import train_idcm
from rader_ir.train.idcm_documents import DocumentGroups, Documents
from rader_ir.train.idcm_selector import gains, pairs_of
from rader_ir.train.idcm_settings import IDCMOptions
from rader_ir.train.idcm_teacher import lessons
from tests import tiny
from tests.idcm_folder import WORDS, made, text
from tests.test_cli_train import lines
from tests.toy_training import broken_off
from tests.window_lessons import windows_found

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = dict(core=6, overlap=2, passages=3, best=2, batch_size=4, accumulation=1, warmup_steps=0, log_steps=1)
QUICK = dict(gradient_checkpointing=False, learning_rate=1e-3, weights_learning_rate=0.05, dropout=0.0)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny.bert(tmp_path_factory.mktemp("train-idcm") / "strong", labels=1)


def options(checkpoint, **changed) -> IDCMOptions:
    return IDCMOptions(str(checkpoint), **{**SMALL, **QUICK, **changed})


def examples(count: int = 8) -> list[Example]:
    """Each query names a word; its positive has it in one window of many, the negative has another there."""
    found = []
    for i in range(count):
        word, other = WORDS[i % len(WORDS)], WORDS[(i + 4) % len(WORDS)]
        plain = "prove it for a set of subsets"
        long = [f"{plain} {word} {plain} {plain}", f"{plain} {other} {plain} {plain}"]
        found.append(Example(f"q{i}", f"what is {word}?", (Passage(f"p{i}", long[0]),), (Passage(f"n{i}", long[1]),)))
    return found


@pytest.mark.parametrize(("loss", "least"), [("ndcg2", 0.75), ("ranknet", 0.88), ("cross_entropy", 0.88)])
def test_the_selector_learns_which_windows_its_teacher_likes(loss, least, tmp_path):
    """Of 12 windows 4 are chosen, so that chance finds a third of the teacher's best 3; queries and documents are new ones."""
    before, after = windows_found(loss, tmp_path / "out")
    assert before < 0.5 and after >= least


def test_gains_are_the_teachers_best():
    assert gains(torch.tensor([[0.3, -2.0, 7.0, 0.3, 0.1]]), 4).tolist() == [[3, 0, 4, 2, 1]]


def test_two_candidates_softmax_is_ranknet():
    """log(1 + exp(s- - s+)) of 2 and -1, and of -1 and 0.5."""
    scores = torch.tensor([[2.0, -1.0], [-1.0, 0.5]])
    expected = (math.log1p(math.exp(-3)) + math.log1p(math.exp(1.5))) / 2
    assert losses.group_softmax(scores).item() == pytest.approx(expected, rel=1e-6)


def test_lessons_are_the_strong_models_scores_kept_on_disk(bert, tmp_path, monkeypatch):
    config = IDCMConfig(str(bert), **{name: SMALL[name] for name in ("core", "overlap", "passages", "best")})
    strong, kept = CrossEncoder(bert), tmp_path / "kept.jsonl"
    pairs = [("q1", "odd cycle", text(40)), ("q1", "odd cycle", text(5)), ("q2", "law", text(30, 3))]
    first = lessons(pairs, strong, config, kept)
    assert [lesson.name for lesson in first] == ["q1", "q2"]  # 5 words are one window, with nothing to choose
    [[reading]] = IDCM(made(tmp_path / "full", bert), passages=99).read(["odd cycle"], [[text(40)]])
    assert reading.total == len(first[0].scores)
    np.testing.assert_allclose(first[0].scores[list(reading.windows)], reading.scores, atol=1e-5)
    kept.write_bytes(kept.read_bytes()[:-20])  # killed while it wrote the second line
    asked, score = [], CrossEncoder.score_ids
    monkeypatch.setattr(
        CrossEncoder, "score_ids", lambda self, queries, ids: asked.append(len(queries)) or score(self, queries, ids)
    )
    again = lessons(pairs, strong, config, kept)
    assert asked == [len(first[0].scores) + len(first[1].scores)]  # the whole portion, so that its batches are the same
    assert lessons(pairs, strong, config, kept)[1].scores.tolist() == again[1].scores.tolist() and len(asked) == 1
    assert [lesson.scores.tolist() for lesson in again] == [lesson.scores.tolist() for lesson in first]
    assert len(kept.read_text().splitlines()) == 3
    lessons(pairs, CrossEncoder(bert), IDCMConfig(str(bert), core=5), kept)  # other windows are other lessons
    assert len(kept.read_text().splitlines()) == 5 and len(asked) == 2


def test_a_documents_scores_in_training_are_the_rerankers(bert, tmp_path):
    """All windows, by the trainer's padded batches and by the served model."""
    from rader_ir.idcm_texts import WindowTexts
    from rader_ir.train.idcm_documents import DocumentGroups
    from rader_ir.train.models import open_base, open_model

    folder = made(tmp_path / "made", bert, missing="mean")
    told = options(folder, step="documents")
    base = open_base(told.strong(str(bert)), "score")
    config, weights = read_config(folder), read_weights(folder, read_config(folder), 32)[1]
    documents = Documents(open_model(base, told.strong(str(bert))).eval(), weights, config.missing)
    groups = DocumentGroups(examples(3), told.strong(str(bert)), WindowTexts(base.tokens, config), 512, 0)
    batch = groups.read([0, 2])
    with torch.inference_mode():
        found = documents(batch["pieces"], batch["order"], batch["counts"]).view(2, 2).numpy()
    for row, place in enumerate((0, 2)):
        example = examples(3)[place]
        [scores] = IDCM(folder, passages=99).score(
            [example.query], [[example.positives[0].text, example.negatives[0].text]]
        )
        np.testing.assert_allclose(found[row], scores, atol=1e-5)


def test_documents_then_a_selector(bert, tmp_path):
    """Step 2 learns the toy set, and its folder ranks so; step 3 starts there and leaves the strong model as it is."""
    learned = examples()
    given = options(bert, step="documents", epochs=24, batch_size=8)
    two = train_idcm(given, examples=learned, dev=learned, out=tmp_path / "two")
    log = [json.loads(line) for line in (two / "training" / "log.jsonl").read_text().splitlines()]
    told = [line["loss"] for line in log if "loss" in line]
    assert told[-1] < told[0] / 2
    weights = read_weights(two, read_config(two), 32)[1]
    assert not torch.equal(weights, torch.ones(2)) and read_config(two).strong == str(two / "strong")
    served = IDCM(two, passages=99)
    margins = [np.subtract(*served.score([e.query], [[e.positives[0].text, e.negatives[0].text]])[0]) for e in learned]
    assert np.mean(np.array(margins) > 0) >= 0.75
    three = train_idcm(options(two, epochs=3, eval_steps=2), examples=learned, dev=learned[:2], out=tmp_path / "three")
    config = read_config(three)
    assert (config.core, config.strong) == (6, str(three / "strong"))
    assert torch.equal(read_weights(three, config, 32)[1], weights)
    full = IDCM(three, passages=99).score([learned[0].query], [[learned[0].positives[0].text]])
    np.testing.assert_allclose(
        full[0], served.score([learned[0].query], [[learned[0].positives[0].text]])[0], atol=1e-6
    )
    assert not torch.equal(*(read_weights(place, config, 32)[0].combine.weight for place in (two, three)))
    card = json.loads((three / "training" / "run_card.json").read_text())
    assert card["kind"] == "idcm" and 0 <= card["figures"]["recall"]["chosen"] <= 1
    assert "IDCMReranker" in (three / "README.md").read_text()


@pytest.mark.parametrize(("step", "wanted"), [("selector", "renormalise"), ("documents", "zero")])
def test_documents_of_few_windows_are_not_lifted_by_weights_that_nobody_learned(step, wanted, bert, tmp_path):
    """A strong model's scores may all lie below 0, where a sum over fewer windows would be higher."""
    folder = train_idcm(options(bert, step=step, max_steps=1), examples=examples(4), out=tmp_path / "made")
    assert read_config(folder).missing == wanted
    kept = train_idcm(options(folder, max_steps=1, missing="mean"), examples=examples(4), out=tmp_path / "mean")
    assert read_config(kept).missing == "mean"
    again = train_idcm(options(kept, max_steps=1), examples=examples(4), out=tmp_path / "again")
    assert read_config(again).missing == "mean"


def test_pairs_make_the_strong_model(bert, tmp_path):
    learned = examples(4)
    folder = train_idcm(options(bert, step="pairs", epochs=2), examples=learned, out=tmp_path / "one")
    config = read_config(folder)
    assert config.strong == str(folder / "strong") and config.core == 6
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["one"]
    [[reading]] = IDCM(folder, passages=99).read([learned[0].query], [[learned[0].positives[0].text]])
    [scores] = CrossEncoder(folder / "strong").score([learned[0].query], [list(reading.snippets)])
    np.testing.assert_allclose(reading.scores, scores, atol=1e-5)
    [before] = CrossEncoder(bert).score([learned[0].query], [list(reading.snippets)])
    assert not np.allclose(before, scores)


def test_the_strong_model_of_a_killed_run_serves_the_same_run_alone(bert, tmp_path, monkeypatch):
    """Killed between the strong model's folder and its own: the same call goes on, others are refused, nothing is deleted."""
    from rader_ir.train import idcm

    told, out = options(bert, step="pairs", max_steps=2), tmp_path / "one"
    whole = train_idcm(told, examples=examples(4), out=tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(idcm, "write_idcm", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        train_idcm(told, examples=examples(4), out=out)
    for given, learned in ((replace(told, seed=1), examples(4)), (told, examples(5))):
        with pytest.raises(
            FileExistsError, match=r"one\.strong is the strong model of an unfinished run with other options"
        ):
            train_idcm(given, examples=learned, out=out)
    with monkeypatch.context() as patched:
        patched.setattr(idcm, "train_reranker", None)  # is not trained again
        folder = train_idcm(told, examples=examples(4), out=out)
    for name in ("strong/model.safetensors", "idcm.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["one", "whole"]


def test_a_step_leaves_another_steps_unfinished_run(bert, tmp_path):
    with broken_off(DocumentGroups, batch=1):
        train_idcm(options(bert, step="documents", save_steps=1), examples=examples(), out=tmp_path / "made")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match=r"made\.unfinished is an unfinished run of another step"):
        train_idcm(options(bert, step="pairs"), examples=examples(), out=tmp_path / "made")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("step", ["documents", "selector"])
def test_a_killed_run_ends_as_an_unbroken_one(step, bert, tmp_path, monkeypatch):
    from rader_ir.train import idcm_documents, idcm_selector

    told = options(bert, step=step, epochs=3, save_steps=1)
    whole = train_idcm(told, examples=examples(), out=tmp_path / "whole")
    if step == "documents":
        groups = idcm_documents.DocumentGroups
    else:
        read = idcm_selector.read
        groups = type("Reader", (), {"read": lambda self, rows: read(self.taught, rows)})

        def watched(taught, rows):
            one = groups()
            one.taught = taught
            return one.read(rows)

        monkeypatch.setattr(idcm_selector, "read", watched)
    with broken_off(groups, batch=4):
        train_idcm(told, examples=examples(), out=tmp_path / "made")
    assert (tmp_path / "made.unfinished").is_dir() and not (tmp_path / "made").exists()
    broken = train_idcm(told, examples=examples(), out=tmp_path / "made")
    assert (broken / "idcm.safetensors").read_bytes() == (whole / "idcm.safetensors").read_bytes()
    if step == "documents":
        strong = [(place / "strong" / "model.safetensors").read_bytes() for place in (whole, broken)]
        assert strong[0] == strong[1]


def test_an_adapter_as_strong_model(tiny_qwen2_reranker, tmp_path):
    told = options(tiny_qwen2_reranker, step="documents", lora=True, max_steps=2, ends="document")
    folder = train_idcm(told, examples=examples(4), out=tmp_path / "made")
    assert np.isfinite(IDCM(folder).score(["law"], [[text(40), ""]])[0]).all()


def test_the_pairs_of_a_run_are_fixed(bert):
    told = examples(2)
    assert pairs_of(told, options(bert))[:2] == [
        (e.query_id, e.query, p.text) for e in told[:1] for p in (*e.positives, *e.negatives)
    ]
    assert len(pairs_of(told, options(bert, negatives=0))) == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"step": "third"}, "option step is 'third'; choose 'pairs', 'documents', 'selector'"),
        ({"loss": "kl"}, "option loss is 'kl'; choose 'ndcg2'"),
        ({"core": 0}, "core is 0; give a whole number, 1 or more"),
        ({"measure": "nDCG@10"}, "option measure is 'nDCG@10'; 'recall' is the selector's"),
        ({"step": "documents", "negatives": 0}, "option negatives is 0; give 1 or more"),
        ({"selector_learning_rate": 0.0}, "option selector_learning_rate is 0.0; give a number above 0"),
    ],
)
def test_wrong_options(changed, words):
    with pytest.raises(ValueError, match=words):
        options("none", **changed)


def test_documents_too_short_for_a_choice(bert, tmp_path):
    with pytest.raises(ValueError, match="no document has more than 9 windows of 6 tokens"):
        train_idcm(options(bert, passages=9), examples=examples(2), out=tmp_path / "made")


def test_the_command_line(bert, tmp_path, capsys):
    write_examples(examples(), tmp_path / "train.jsonl")
    table = {"checkpoint": str(bert), **SMALL, "epochs": 2, "loss": "ranknet"}
    (tmp_path / "x.toml").write_text(
        lines(table) + '[data]\nexamples = "train.jsonl"\ndev_fraction = 0.25\nout = "made"\n'
    )
    assert main(["train", "idcm", "--config", str(tmp_path / "x.toml"), "--json", str(tmp_path / "told.json")]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert (told["examples"], told["development"], told["out"]) == (6, 2, str(tmp_path / "made"))
    assert 0 <= told["recall after"] <= 1
    assert read_config(tmp_path / "made").strong == str(bert)
    assert np.isfinite(IDCM(tmp_path / "made").score(["law"], [[text(40)]])[0]).all()
    (tmp_path / "x.toml").write_text(
        lines({**table, "losses": "x"}) + '[data]\nexamples = "train.jsonl"\nout = "made"\n'
    )
    assert main(["train", "idcm", "--config", str(tmp_path / "x.toml")]) == 2
    assert "option 'losses' is unknown; do you mean 'loss'?" in capsys.readouterr().err
