"""How a program runs that makes many calls: on uvloop where that is installed, and with Python's collector seldom at work.

uvloop takes less processor time a call than asyncio's own loop. The collector looks for reference cycles after every few hundred
new objects, and from time to time through all that lives; at a thousand calls a second that is a tenth of the time.
"""

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

_OBJECTS, _YOUNG, _MIDDLE = 20_000, 20, 20  # gc.set_threshold


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """As `asyncio.run`; for programs, since the collector's settings are those of the whole process."""
    with _seldom_collected(), asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop of uvloop where that is installed, else asyncio's own."""
    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError:
        new_event_loop = asyncio.new_event_loop
    return new_event_loop()


@contextmanager
def _seldom_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what lives already need not be looked through again
    gc.set_threshold(_OBJECTS, _YOUNG, _MIDDLE)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
