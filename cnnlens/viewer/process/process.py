"""One process that runs the model, as the viewer sees it: started, sent to, listened to, ended, told of."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from .wire import Arrays, frame, read_frame

#: The search path comes first: ours is found by it. What follows is an interpreter of its own, not a fork, since
#: a fork of a process with threads is no safe place to run a framework in.
BEGIN = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from cnnlens.viewer.process.child import main; main()"
PATIENCE = 1.0  #: seconds that it has to end by itself, and then to be ended
WHY = {
    "SIGKILL": ", as the system does when memory runs out",
    "SIGSEGV": ", a fault in compiled code: the terminal says where",
    "SIGABRT": ", compiled code gave up: the terminal says where",
}


class Process:
    """A process of ours with a wire to it. `send` never waits: a thread of its own writes.

    Its temporary files lie in a folder of its own, which goes when it goes, however it ended.
    """

    def __init__(self) -> None:
        self.planned = False  #: whether we ended it ourselves
        self._out: queue.SimpleQueue[list[bytes | memoryview] | None] = queue.SimpleQueue()
        self._folder = tempfile.mkdtemp(prefix="cnnlens-")
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-u", "-c", BEGIN, json.dumps(list(map(str, sys.path))), self._folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._folder),
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._sender = threading.Thread(target=self._send_all, name="cnnlens-send", daemon=True)
        self._sender.start()

    @property
    def id(self) -> int:
        """What the system calls it."""
        return self._popen.pid

    def send(self, head: Mapping[str, Any], arrays: Arrays = ()) -> None:
        """Have a frame sent; one that is gone hears nothing."""
        self._out.put(frame(head, arrays))

    def frames(self) -> Iterator[tuple[dict[str, Any], Arrays]]:
        """What it says, until it ends. Raises Garbled."""
        with contextlib.suppress(EOFError):
            while True:
                yield read_frame(self._fill)

    def kill(self, planned: bool = True) -> None:
        """End it at once."""
        self.planned = self.planned or planned
        self._popen.kill()

    def end(self) -> None:
        """Ask it to end, then make it."""
        self.planned = True
        self.send({"do": "close"})
        for act in (self._popen.terminate, self._popen.kill):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(PATIENCE)
                return
            act()
        self._popen.wait()

    def release(self) -> str:
        """Let go of all that is left of it; how it ended, in words. For the thread that listened."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(PATIENCE)
        self._popen.kill()  # one that closed the wire and lives on
        code = self._popen.wait()
        self._out.put(None)
        self._sender.join()
        for stream in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        return _ended(code)

    def _send_all(self) -> None:
        stdin = self._popen.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):  # it is gone, which is told by who listens
            while (pieces := self._out.get()) is not None:
                for piece in pieces:
                    room = memoryview(piece)
                    while room:
                        room = room[stdin.write(room) or 0 :]

    def _fill(self, room: memoryview) -> None:
        stdout = self._popen.stdout
        assert stdout is not None
        while room:
            self._await(stdout.fileno())
            got = stdout.readinto(room)  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            room = room[got:]

    def _await(self, handle: int) -> None:
        """Until there is something to read: a child of its own may hold the wire open when it is gone."""
        if not hasattr(select, "poll"):
            return  # Windows, where reading waits and nothing is inherited
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        while not waiting.poll(500):
            if self._popen.poll() is not None and not waiting.poll(0):
                raise EOFError


def _ended(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f"the process that runs the model ended by itself (exit code {code})"
    try:
        why = WHY.get(signal.Signals(-code).name, "")
    except ValueError:
        why = ""
    return f"the process that runs the model was killed (signal {-code}{why})"
