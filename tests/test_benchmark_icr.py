"""The benchmark of attention: its ways agree, and its prompt has the tokens that it is named after; nothing is timed."""

import numpy as np
import pytest

from tests.benchmarks import icr, made

SHAPE = dict(num_hidden_layers=4, hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made.decoder(tmp_path_factory.mktemp("model"), labels=None, vocab_size=2048, **SHAPE)


def test_the_ways_read_the_same(folder):
    """Against eager attention over whole prompts; the first half of the layers has half of the heads."""
    ids, endings = icr.prompt(folder, 300)
    found = {name: opener(str(folder))(ids, endings) for name, opener in icr.WAYS.items()}
    for i, ending in enumerate(endings):
        wanted = found[icr.EAGER][i]
        assert len(wanted) == len(ids) + len(ending) and wanted.sum() == pytest.approx(16, abs=1e-4)
        np.testing.assert_allclose(found[icr.OURS][i], wanted, atol=1e-5)
        np.testing.assert_allclose(found[icr.KEPT][i], wanted, atol=1e-5)
        assert found[icr.HALF][i].sum() == pytest.approx(8, abs=1e-4)
    assert icr.apart(found[icr.EAGER], found[icr.EAGER]).startswith("within 0e+00")


def test_the_prompt_holds_the_documents_and_two_searches(folder):
    ids, (neutral, ending) = icr.prompt(folder, 300)
    longer, _ = icr.prompt(folder, 500)
    assert 200 <= len(longer) - len(ids) <= 200 + 2 * 5  # two documents of 100 with what stands around them
    assert len(ending) - len(neutral) >= icr.QUERY - 3
