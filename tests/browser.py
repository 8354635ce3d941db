"""A real browser for tests: Chromium without a window, steered through two pipes by its own protocol.

Only the standard library is needed. The protocol (https://chromedevtools.github.io/devtools-protocol/) is JSON, each message
ended by a zero byte: what we write reaches the browser as file 3, what it says comes from its file 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage")
PATIENCE = 60  # seconds until a browser that says nothing counts as broken
# Puts the two ends in places 3 and 4, from places where neither can lie in the way of the other.
LAUNCHER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
os.execvp(sys.argv[3], sys.argv[3:])
"""
KEYS = {
    "ArrowUp": 38,
    "ArrowDown": 40,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "Enter": 13,
    "Escape": 27,
    "Home": 36,
    "End": 35,
}


def found() -> str | None:
    """The browser of this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page; `errors` keeps what its scripts complained of, `requests` the addresses it asked for."""

    def __init__(self, *, width: int = 1400, height: int = 900):
        self.errors, self.requests, self._number, self._unread, self._heard = [], [], 0, b"", []
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        profile = [f"--user-data-dir={self._folder.name}", f"--window-size={width},{height}"]
        launcher = [sys.executable, "-c", LAUNCHER, str(theirs_in), str(theirs_out)]
        self._process = subprocess.Popen(
            [*launcher, found(), *FLAGS, *sandbox, *profile, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given) -> dict:
        """What the browser answers to a method of its protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": given}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._next()
            if heard.get("id") == self._number:
                if "error" in heard:
                    raise RuntimeError(f"{method}: {heard['error']}")
                return heard["result"]
            self._note(heard)

    def open(self, page: Path, fragment: str = "") -> None:
        """Go to a file and wait until its scripts have run."""
        self._heard.clear()
        self.call("Page.navigate", url="about:blank")
        self._await("Page.loadEventFired")
        self.errors.clear()
        self.requests.clear()
        self.call("Page.navigate", url=page.resolve().as_uri() + fragment)
        self._await("Page.loadEventFired")

    def value(self, script: str, *, wait: bool = False):
        """The value of a JavaScript expression in the page; with `wait`, what a promise comes to."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=wait)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, as a hand does; Shift for the letters that need it."""
        for key in keys:
            text = "\r" if key == "Enter" else key if len(key) == 1 else ""
            shift = 8 if key.startswith("Shift+") or (len(key) == 1 and (key.isupper() or key in "?+")) else 0
            name = key.removeprefix("Shift+")
            about = {"key": name, "windowsVirtualKeyCode": KEYS.get(name, ord(name[0].upper())), "modifiers": shift}
            self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        script = f"""(() => {{
            const made = document.querySelector({json.dumps(selector)});
            made.scrollIntoView({{ block: "nearest" }});
            const box = made.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        x, y = self.value(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def wait_for(self, event: str) -> None:
        """Until the browser says that something happened, now or since the last `open`."""
        self._await(event)

    def looks(self, scheme: str, *, width: int = 1400, height: int = 900) -> None:
        """Prefer `light` or `dark`, at a size."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End the browser."""
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._out)
            os.close(self._in)
            self._folder.cleanup()

    def _await(self, method: str) -> None:
        while method not in self._heard:
            self._note(self._next())
        self._heard.clear()

    def _next(self) -> dict:
        while b"\0" not in self._unread:
            if not select.select([self._in], [], [], PATIENCE)[0]:
                raise TimeoutError(f"the browser said nothing for {PATIENCE} seconds")
            if not (read := os.read(self._in, 1 << 20)):
                raise EOFError(f"the browser ended, status {self._process.poll()}")
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict) -> None:
        method, about = event.get("method", ""), event.get("params", {})
        self._heard.append(method)
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(about["exceptionDetails"]))
        if method == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(about["entry"]["text"])
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
