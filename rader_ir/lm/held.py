"""A language model kept open for callers that are not async: it lives on an event loop in a thread of its own.

Rerankers are called group by group, from scripts and from notebooks, whose thread has a loop running already; a model in this
process must not be loaded for each group anew, nor connections opened.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from rader_ir.lm.loops import new_loop


class Held:
    """A back-end that is entered at the first call and left by `close`, or when this object goes.

    Args:
        make: gives the back-end, which is entered by `async with`.
    """

    def __init__(self, make: Callable[[], Any]):
        self._make = make
        self._lock = threading.Lock()
        self._open: tuple[Any, asyncio.AbstractEventLoop] | None = None
        self._ends = None

    def run(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """The result of `work(lm)`; what it raises, and what entering the model raises, is raised here.

        Ctrl-C ends the work before it goes on up.
        """
        with self._lock:
            if self._open is None:
                self._enter()
        lm, loop = self._open
        return _result(loop, work(lm))

    def _enter(self) -> None:
        lm, loop = self._make(), new_loop()
        thread = threading.Thread(target=_serve, args=(loop,), daemon=True, name="held-language-model")
        thread.start()
        try:
            _result(loop, lm.__aenter__())
        except BaseException:
            _stop(loop, thread)
            raise
        self._open = lm, loop
        self._ends = weakref.finalize(self, _leave, lm, loop, thread)

    def close(self) -> None:
        """Leave the model; the next `run` enters it again."""
        with self._lock:
            if self._open is not None:
                self._open = None
                self._ends()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _result(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _leave(lm: Any, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    try:
        _result(loop, lm.__aexit__(None, None, None))
    finally:
        _stop(loop, thread)


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
