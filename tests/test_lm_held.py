"""A model kept open between calls that are not async: entered once, left once, errors where they belong."""

import asyncio
import gc
import threading

import pytest

from rader_ir.lm.held import Held


class Counted:
    """Tells who entered and left it, and in which thread."""

    def __init__(self, fails: int = 0):
        self.entered = self.left = 0
        self.fails = fails
        self.threads = set()

    async def __aenter__(self):
        if self.fails:
            self.fails -= 1
            raise ConnectionError("nobody there")
        self.entered += 1
        return self

    async def __aexit__(self, *_):
        self.left += 1

    async def double(self, number):
        self.threads.add(threading.current_thread().name)
        await asyncio.sleep(0)
        return 2 * number


def test_it_is_entered_once_for_many_calls_and_left_once():
    lm = Counted()
    held = Held(lambda: lm)
    assert lm.entered == 0  # nothing before the first call
    assert [held.run(lambda lm, n=n: lm.double(n)) for n in range(3)] == [0, 2, 4]
    assert (lm.entered, lm.left, lm.threads) == (1, 0, {"held-language-model"})
    held.close()
    held.close()
    assert (lm.entered, lm.left) == (1, 1)
    assert held.run(lambda lm: lm.double(4)) == 8
    assert lm.entered == 2


def test_it_is_left_when_the_holder_goes():
    lm = Counted()
    held = Held(lambda: lm)
    held.run(lambda lm: lm.double(1))
    del held
    gc.collect()
    assert lm.left == 1


def test_it_works_where_a_loop_is_running():
    async def notebook():
        return Held(Counted).run(lambda lm: lm.double(5))

    assert asyncio.run(notebook()) == 10


def test_what_goes_wrong_is_raised_and_may_be_tried_again():
    lm = Counted(fails=1)
    held = Held(lambda: lm)
    before = set(threading.enumerate())  # other models may be held
    with pytest.raises(ConnectionError, match="nobody there"):
        held.run(lambda lm: lm.double(1))
    assert set(threading.enumerate()) <= before and lm.left == 0

    async def broken(lm):
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        held.run(broken)
    assert held.run(lambda lm: lm.double(1)) == 2
    held.close()
