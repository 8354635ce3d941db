"""What an index records of its encoder brings the same encoder back."""

from dataclasses import replace

import pytest

from rader_ir.checkpoints import find_checkpoint
from rader_ir.encoder import Encoder
from rader_ir.recorded import recorded


def test_the_encoder_comes_back_with_all_that_was_its_own(tiny_qwen2):
    first = Encoder(tiny_qwen2, forms="plain", max_query_length=40, max_doc_length=16)
    again = Encoder(recorded(first.describe(), "the index", "name one"))
    assert again.describe() == first.describe() != Encoder(tiny_qwen2).describe()


def test_what_was_not_recorded_is_the_checkpoints_own():
    wanted = replace(find_checkpoint("minilm"), pooling="first")
    assert recorded({"checkpoint": "minilm", "pooling": "first"}, "the index", "name one") == wanted


def test_ready_vectors_have_no_checkpoint():
    with pytest.raises(ValueError, match="folder does not say which encoder made its vectors; give one: X"):
        recorded({}, "folder", "give one: X")
