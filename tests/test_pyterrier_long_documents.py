"""IDCM in PyTerrier: scores and snippets of the engine on the right rows, one live model, a folder that is written anew."""

import os

import pandas as pd
import pytest

pt = pytest.importorskip("pyterrier")

from pyterrier_rader import IDCMReranker  # noqa: E402
from rader_ir.rerank.idcm import IDCM  # noqa: E402
from tests import tiny  # noqa: E402
from tests.idcm_folder import made, text  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    strong = tiny.bert(tmp_path_factory.mktemp("idcm") / "strong", labels=1)
    return made(tmp_path_factory.mktemp("idcm") / "made", strong)


def results() -> pd.DataFrame:
    texts = {f"d{i}": text(5 + 6 * i, i) for i in range(6)} | {"d6": "", "d7": text(11, 1)}
    rows = [
        (qid, query, docno, doc)
        for qid, query in {"q1": "odd cycle", "q2": "law of large numbers"}.items()
        for docno, doc in texts.items()
    ]
    return pd.DataFrame(rows, columns=["qid", "query", "docno", "text"])


def test_rows_get_the_engines_scores_and_snippets(folder):
    frame = results().sample(frac=1, random_state=0)
    out = IDCMReranker(folder)(frame)
    assert list(out.columns) == ["qid", "query", "docno", "text", "snippets", "score", "rank"]
    engine = IDCM(folder)
    for row in out.itertuples():
        [[reading]] = engine.read([row.query], [[row.text]])
        assert row.score == pytest.approx(reading.score, abs=1e-5)
        assert row.snippets == list(reading.snippets)
    assert len(out) == len(frame)
    assert "snippets" not in IDCMReranker(folder, snippets=False)(frame)


def test_an_earlier_stages_snippets_give_way(folder):
    out = (IDCMReranker(folder, passages=1) >> IDCMReranker(folder, passages=2))(results())
    expected = IDCMReranker(folder, passages=2)(results())
    pd.testing.assert_frame_equal(out, expected)
    assert out["snippets"].map(len).max() == 2


def test_equal_transformers_share_a_model_until_the_folder_changes(folder):
    one, other = IDCMReranker(folder), IDCMReranker(str(folder))
    live = one.model()
    assert live is other.model() is (one % 2).compile().model()
    assert live is not IDCMReranker(folder, passages=1).model()
    weights = folder / "idcm.safetensors"
    os.utime(weights, ns=(1, 1))
    assert one.model() is not live


def test_wrong_settings_and_folders(folder, tmp_path):
    with pytest.raises(ValueError, match="passages is 0; give a whole number of at least 1, or None"):
        IDCMReranker(folder, passages=0)
    with pytest.raises(FileNotFoundError, match=r"holds no idcm\.json"):
        IDCMReranker(tmp_path)(results())
