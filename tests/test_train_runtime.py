"""What a run promises: a kill changes nothing, states are whole, NaN and a full disk stop it, patience ends it."""

import json
import math
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rader_ir.train.callbacks import best_step, gives_up, read_log
from rader_ir.train.card import data_facts
from rader_ir.train.folder import NotSaved, RunFolder, cannot_write, open_run
from rader_ir.train.models import open_model
from rader_ir.train.retriever import Groups, train_retriever
from rader_ir.train.runtime import WEIGHTS, Diverged
from rader_ir.train.settings import RetrieverOptions
from tests import tiny
from tests import train_kill_worker as worker
from tests.toy_training import QUICK, broken_off, examples

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("one_thread")


def options(base, **changed) -> RetrieverOptions:
    return RetrieverOptions(str(base), **{**QUICK, **changed})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def told(folder: Path) -> list[dict]:
    """The log without what a clock says."""
    return [{**line, "seconds": 0} for line in read_log(folder / "training" / "log.jsonl")]


def same(left: Path, right: Path) -> bool:
    ours, theirs = weights(left), weights(right)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@contextmanager
def disk_of(size: int):
    """No file grows beyond `size` bytes meanwhile: what a full disk does to a writer, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def unbroken(one_thread, tiny_qwen2, tmp_path_factory) -> Path:
    return worker.train(tmp_path_factory.mktemp("unbroken") / "made", tiny_qwen2)


def test_a_run_killed_in_its_middle_ends_with_equal_weights(tiny_qwen2, tmp_path, unbroken):
    """Batch 15 belongs to step 8; states are kept after each second step and each measurement."""
    words = [sys.executable, "-m", "tests.train_kill_worker", str(tmp_path / "made"), str(tiny_qwen2), "15"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    run = RunFolder(tmp_path / "made")
    assert run.last() == run.state(6) and not run.out.exists()
    assert [line["step"] for line in read_log(run.training / "log.jsonl")][-1] >= 6
    resumed = worker.train(tmp_path / "made", tiny_qwen2)
    assert same(resumed, unbroken)
    assert told(resumed) == told(unbroken)
    assert not run.work.exists()


def test_what_a_kill_leaves_of_a_state_is_passed_over(tiny_qwen2, tmp_path, unbroken):
    """The half-written state of step 4 lies beside the whole one of step 3, and a line of the log is cut."""
    with broken_off(Groups, batch=7):
        worker.train(tmp_path / "made", tiny_qwen2)
    run = RunFolder(tmp_path / "made")
    half = run.staging / "checkpoint-4"
    half.mkdir(parents=True)
    (half / WEIGHTS).write_bytes(b"half")
    with (run.training / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert same(worker.train(run.out, tiny_qwen2), unbroken)


def test_a_disk_that_is_full_leaves_the_older_state(tiny_qwen2, tmp_path, monkeypatch, unbroken):
    """Files of more than 4 kB cannot be written from batch 7 on, which is read before step 3 is done; states have 100 kB."""
    count, read = 0, Groups.read

    def watched(self, rows):
        nonlocal count
        count += 1
        if count == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        return read(self, rows)

    monkeypatch.setattr(Groups, "read", watched)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(NotSaved, match=r"state after step 3 .*last whole one is .*checkpoint-2\. Make room"):
            worker.train(tmp_path / "made", tiny_qwen2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run = RunFolder(tmp_path / "made")
    assert run.steps()[-1] == 2 and not run.staging.exists()
    assert load_file(run.last() / WEIGHTS)
    assert same(worker.train(run.out, tiny_qwen2), unbroken)


def test_a_disk_that_is_full_at_the_end(tiny_qwen2, tmp_path):
    """A state of rank 1 has less than 60 kB, the merged model more; the run is finished by the second call without a step."""
    small = options(tiny_qwen2, lora_rank=1, max_steps=2)
    with disk_of(60_000), pytest.raises(NotSaved, match="make room, then run the same again"):
        train_retriever(small, examples=examples(), out=tmp_path / "made")
    run = RunFolder(tmp_path / "made")
    assert run.steps()[-1] == 2 and not run.out.exists()
    log = (run.training / "log.jsonl").read_bytes()
    folder = train_retriever(small, examples=examples(), out=tmp_path / "made")
    assert (folder / "training" / "log.jsonl").read_bytes() == log
    assert weights(folder)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory) -> Path:
    """A base in which the token of "@" is no number."""
    folder = tiny.qwen2(tmp_path_factory.mktemp("poisoned"))
    (token,) = tiny.qwen2_tokenizer()("@")["input_ids"]
    tensors = load_file(folder / "model.safetensors")
    tensors["embed_tokens.weight"][token] = math.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_loss_that_is_no_number_names_its_examples(poisoned, tmp_path):
    learned = [replace(e, query=e.query + " @") if e.query_id == "q5" else e for e in examples()]
    bad = options(poisoned, epochs=4, batch_size=2, save_steps=100)
    with pytest.raises(Diverged, match=r"the loss is nan, with the examples .*'q5'") as error:
        train_retriever(bad, examples=learned, out=tmp_path / "made")
    named = str(error.value).partition("with the examples ")[2].partition(";")[0]
    assert named.count("'q") == 2
    run, step = RunFolder(tmp_path / "made"), int(str(error.value).split()[1].rstrip(":"))
    if step > 1:
        assert run.steps() == [step - 1] and f"weights after step {step - 1} are kept" in str(error.value)
        assert all(torch.isfinite(tensor).all() for tensor in load_file(run.last() / WEIGHTS).values())
    assert step > 1, "choose another seed: the first batch tests nothing"


def test_a_gradient_that_is_no_number(tiny_qwen2, tmp_path):
    """Divided by 1e-30 the cosines give a finite loss, and a gradient whose squares float32 does not hold."""
    with pytest.raises(Diverged, match=r"step 1: the gradient's norm is inf, with the examples 'q.*no state was kept"):
        train_retriever(options(tiny_qwen2, temperature=1e-30), examples=examples(), out=tmp_path / "made")
    with pytest.raises(
        Diverged, match=r"step 1: the gradient's norm is inf"
    ):  # not clipped, and looked at all the same
        unclipped = options(tiny_qwen2, temperature=1e-30, max_grad_norm=0)
        train_retriever(unclipped, examples=examples(), out=tmp_path / "other")


def test_weights_that_are_no_numbers_are_not_kept_and_older_states_stay(tiny_qwen2, tmp_path, monkeypatch):
    """Spoilt between two steps: what is kept, and gone on from, is an older state, whose weights are numbers."""
    read, count = Groups.read, 0

    def spoiling(self, rows):
        nonlocal count
        count += 1
        if count == 6:
            for weight in trained:
                weight.data.fill_(math.inf)
        return read(self, rows)

    trained: list[torch.Tensor] = []

    def watched(base, options):
        model = open_model(base, options)
        trained.extend(weight for weight in model.parameters() if weight.requires_grad)
        return model

    monkeypatch.setattr("rader_ir.train.retriever.open_model", watched)
    monkeypatch.setattr(Groups, "read", spoiling)
    run = RunFolder(tmp_path / "made")
    with pytest.raises(Diverged) as error:
        train_retriever(options(tiny_qwen2, epochs=9, save_steps=2), examples=examples(), out=run.out)
    assert run.steps() and f"step {run.steps()[-1]} are kept" in str(error.value)
    for step in run.steps():
        assert all(torch.isfinite(tensor).all() for tensor in load_file(run.state(step) / WEIGHTS).values())
    monkeypatch.undo()
    again = train_retriever(options(tiny_qwen2, epochs=9, save_steps=2), examples=examples(), out=run.out)
    assert all(torch.isfinite(tensor).all() for tensor in weights(again).values())


def test_what_tells_of_a_full_disk():
    assert cannot_write(OSError(28, "No space left on device")) and cannot_write(OSError(27, "File too large"))
    assert cannot_write(RuntimeError("[enforce fail] file write failed"))
    assert not cannot_write(FileNotFoundError(2, "No such file")) and not cannot_write(PermissionError(13, "denied"))


def test_patience_ends_a_run_and_its_best_state_is_kept(tiny_qwen2, tmp_path):
    """A rate so small that no measurement changes: two more than the first are waited for, and the first step is kept."""
    patient = options(tiny_qwen2, learning_rate=1e-12, epochs=9, eval_steps=1, patience=2)
    folder = train_retriever(patient, examples=examples(), out=tmp_path / "made", dev=examples(8))
    log = read_log(folder / "training" / "log.jsonl")
    assert [line["step"] for line in log if "dev_nDCG@10" in line] == [0, 1, 2]
    card = json.loads((folder / "training" / "run_card.json").read_text())
    assert card["figures"]["steps"] == 2 and card["figures"]["chosen_step"] == 1


def test_when_to_give_up():
    def log(*values):
        return [{"step": i, "dev_RR": value} for i, value in enumerate(values)]

    def after(patience, *values):
        return gives_up(log(*values), RetrieverOptions("x", measure="RR", patience=patience))

    assert not after(2, 0.1, 0.1) and after(2, 0.1, 0.1, 0.1)
    assert not after(2, 0.1, 0.1, 0.2) and not after(2, 0.3, 0.2, 0.4, 0.3) and after(2, 0.3, 0.2, 0.4, 0.3, 0.4)
    assert not after(None, 0.3, 0.2, 0.1, 0.0)
    assert best_step(log(0.9, 0.1, 0.3, 0.3), "RR") == 2
    assert best_step(log(0.9), "RR") is None


def test_folders_that_are_refused(tiny_qwen2, tmp_path):
    train = lambda **changed: train_retriever(  # noqa: E731
        options(tiny_qwen2, max_steps=1, **changed), examples=examples(), out=tmp_path / "made"
    )
    (tmp_path / "made").mkdir()
    train()  # an empty one is taken
    with pytest.raises(FileExistsError, match="made exists; move it away, or give another folder"):
        train()
    shutil.rmtree(tmp_path / "made")
    (tmp_path / "made.unfinished").mkdir()
    (tmp_path / "made.unfinished" / "precious.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"made\.unfinished exists and is no unfinished run"):
        train()
    assert (tmp_path / "made.unfinished" / "precious.txt").read_text() == "mine"


def test_an_unfinished_run_is_known_by_its_facts(tmp_path):
    facts = {"options": {"lr": 1, "names": ("a",)}, "data": {"train": "x"}}
    run = open_run(tmp_path / "made", facts)
    (run.states / "checkpoint-3").mkdir()
    assert open_run(tmp_path / "made", facts).last() == run.state(3)
    with pytest.raises(FileExistsError, match=r"other options or data \(options.lr: 1, not 2\); give the same ones"):
        open_run(tmp_path / "made", {**facts, "options": {"lr": 2, "names": ("a",)}})
    with pytest.raises(FileExistsError, match=r"\(data.train: 'x', not 'y'\)"):
        open_run(tmp_path / "made", {**facts, "data": {"train": "y"}})
    (run.states / "checkpoint-3").rmdir()  # nothing done yet: nothing to lose
    assert json.loads((open_run(tmp_path / "made", {"other": 1}).work / "run.json").read_text()) == {"other": 1}


def test_whatever_training_reads_of_an_example_changes_the_hash_of_the_data():
    [one] = examples()[:1]
    passage = one.positives[0]
    changed = [
        replace(one, query_id="another"),
        replace(one, query="another"),
        replace(one, positives=(replace(passage, text="another"),)),
        replace(one, negatives=()),
        replace(one, provenance={"source": "another"}),
        replace(one, provenance={"excluded_ids": ["d1"]}),
    ]
    assert len({data_facts([each])["sha256"] for each in (one, *changed)}) == 1 + len(changed)
    told = replace(one, provenance={"remark": "read by nobody"})
    assert data_facts([told]) == data_facts([one])


def test_the_card_the_log_and_the_curve(unbroken):
    log = read_log(unbroken / "training" / "log.jsonl")
    assert [line["step"] for line in log if "loss" in line] == list(range(1, 13))
    assert [line["step"] for line in log if "dev_nDCG@10" in line] == [0, 3, 6, 9, 12]
    assert log[-1]["epoch"] == 6
    card = json.loads((unbroken / "training" / "run_card.json").read_text())
    measured = {line["step"]: line["dev_nDCG@10"] for line in log if "dev_nDCG@10" in line}
    best = card["figures"]["chosen_step"]
    assert measured[best] == max(value for step, value in measured.items() if step)
    assert card["figures"]["nDCG@10"] == {"before": measured[0], "chosen": measured[best], "last": measured[12]}
    assert card["data"]["train"]["examples"] == 16 and len(card["data"]["train"]["sha256"]) == 64
    assert card["options"]["lora_dropout"] == 0.2 and card["versions"]["torch"] == torch.__version__
    assert (unbroken / "training" / "curve.png").read_bytes().startswith(b"\x89PNG")
    text = (unbroken / "README.md").read_text()
    assert f"{measured[best]:.4f} after" in text and "encode_query" in text and "pooling: `last`" in text


def test_tensorboard_has_the_figures_of_the_log(tiny_qwen2, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train_retriever(options(tiny_qwen2), examples=examples(), out=tmp_path / "made", dev=examples(4))
    board = EventAccumulator(str(folder / "training" / "tensorboard"))
    board.Reload()
    log = [(line["step"], line["loss"]) for line in read_log(folder / "training" / "log.jsonl") if "loss" in line]
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [
        (step, pytest.approx(loss, rel=1e-6)) for step, loss in log
    ]
    assert len(board.Scalars("dev_nDCG@10")) >= 2
