"""The event loop of a program: uvloop's where it is installed, which takes less processor time a call, else asyncio's own."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """As `asyncio.run`."""
    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
