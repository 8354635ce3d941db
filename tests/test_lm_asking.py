"""Calls made side by side."""

import asyncio

import pytest

from rader_ir.lm.asking import side_by_side


def test_work_is_done_side_by_side_and_ends_together():
    """Three of five under way at a time; when one raises, none is left under way."""
    under_way, most = set(), []

    async def work(item):
        under_way.add(item)
        most.append(len(under_way))
        try:
            await asyncio.sleep(0.002 * (5 - item))
            if item == 9:
                raise ValueError("nine")
            return item * item
        finally:
            under_way.discard(item)

    assert asyncio.run(side_by_side(range(5), work, width=3)) == [0, 1, 4, 9, 16] and max(most) == 3
    with pytest.raises(ValueError, match="nine"):
        asyncio.run(side_by_side([0, 9, 1], work))
    assert not under_way and asyncio.run(side_by_side([], work)) == []
