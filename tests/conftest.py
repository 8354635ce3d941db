"""Fixtures that many tests share: tiny checkpoints made once per session, and real data beside the repository."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PT_TEST_TRANSFORMER_REPORTS", "0")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets beside the repository; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED} here")
    return SHARED


@pytest.fixture(scope="module")
def one_thread():
    """torch on one thread for a whole module: another number of threads rounds sums another way."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory) -> Path:
    from tests import tiny

    return tiny.qwen2(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(scope="session")
def tiny_qwen2_eos_is_pad(tmp_path_factory) -> Path:
    from tests import tiny

    return tiny.qwen2(tmp_path_factory.mktemp("gte-qwen2"), eos="<|endoftext|>", pad="<|endoftext|>")


@pytest.fixture(scope="session")
def tiny_qwen2_reranker(tmp_path_factory) -> Path:
    from tests import tiny

    return tiny.qwen2(tmp_path_factory.mktemp("qwen2-reranker"), labels=1)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory) -> Path:
    from tests import tiny

    return tiny.llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    from tests import tiny

    return tiny.bert(tmp_path_factory.mktemp("bert"))
