"""The event loop of a program, with uvloop and without."""

import asyncio
import gc
import sys

import pytest

from rader_ir.lm.loops import run


async def here() -> str:
    """The module of the loop that runs this."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def test_without_uvloop_the_loop_is_asyncios_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(here()) == "asyncio"


def test_with_uvloop_the_loop_is_its():
    pytest.importorskip("uvloop")
    assert run(here()) == "uvloop"


def test_the_collector_is_as_before_afterwards():
    async def inside():
        return gc.get_threshold(), gc.get_freeze_count() > 0

    before = gc.get_threshold()
    threshold, frozen = run(inside())
    assert threshold[0] > before[0] and frozen
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


def test_what_is_raised_inside_comes_out():
    async def fails():
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        run(fails())
