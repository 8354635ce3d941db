from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rader_ir.passages import windows


@given(length=st.integers(0, 60), size=st.integers(1, 20), data=st.data())
def test_windows_cover_every_token_and_none_lies_within_another(length, size, data):
    stride = data.draw(st.integers(1, size))
    spans = windows(length, size, stride)
    assert {token for begin, end in spans for token in range(begin, end)} == set(range(length))
    assert [begin for begin, _ in spans] == [number * stride for number in range(len(spans))]
    assert all(end - begin == size for begin, end in spans[:-1])
    assert all(0 < end - begin <= size for begin, end in spans)
    assert all(left[1] < right[1] for left, right in pairwise(spans))


@pytest.mark.parametrize(
    ("length", "size", "stride", "complaint"),
    [
        (-1, 4, 2, "a length of -1 tokens"),
        (9, 0, 0, "windows of 0 tokens every 0 leave gaps or are empty"),
        (9, 4, 0, "every 0 leave gaps"),
        (9, 4, 5, "windows of 4 tokens every 5 leave gaps"),
        (0, 4, 5, "windows of 4 tokens every 5 leave gaps"),
    ],
)
def test_windows_that_would_skip_or_never_end_are_refused(length, size, stride, complaint):
    with pytest.raises(ValueError, match=complaint):
        windows(length, size, stride)
