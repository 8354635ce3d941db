"""Work in a child process that ends itself by kill -9 just before its n-th touch of a file."""

import os
import signal
import sys
import threading
from collections.abc import Callable


def killed_at(moment: int, work: Callable[[], int | None], touches: Callable[[Callable], bool]) -> bool:
    """Do the work in a child that ends itself at its n-th touch; whether it got that far.

    Args:
        moment: n, counted from 1.
        work: gives the exit status of a child that is not killed; None is 0.
        touches: whether a built-in function that is about to be called counts.
    """
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status >= 0 or status == -signal.SIGKILL, f"the child died of signal {-status}"
        return status == -signal.SIGKILL
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # the threads of this process's pool are not in the child
    left = moment

    def watch(frame, event, function):
        nonlocal left
        if event == "c_call" and touches(function):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)  # of threads that begin from now on
    sys.setprofile(watch)
    status = work()
    sys.setprofile(None)
    os._exit(status or 0)
