"""Processes forked from one that has imported what they need, so that each begins at once.

Importing numba takes half a second of CPU time, and what a notebook needs 3 s.  A forked process is
a process of its own, in which nothing but the imports has happened.

``forks.py serve SOCKET MODULE ..`` imports, and forks a process for each request; ``forks.py sit
SOCKET CODE ARGUMENT ..`` asks for one, and ends when it ends.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

MOST = 1 << 20  # bytes of a request
PIPED = (0, 1, 2)


# In the process that forks.


def serve(path: str, *modules: str) -> None:
    """Import, and fork for each request, until the parent closes the input."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(64)
        for module in modules:
            __import__(module)
        ended, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        seats = {}
        while True:
            ready, _, _ = select.select([server, ended, sys.stdin], [], [])
            if ended in ready:
                os.read(ended, MOST)
                _tell_ends(seats, os.WNOHANG)
            if server in ready:
                seat, _ = server.accept()
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _run(seat, [server, *seats.values()], [ended, wake])
                seats[pid] = seat
                seat.sendall(f"{pid}\n".encode())
            if sys.stdin in ready:
                return _tell_ends(seats, 0)  # waited for, so that their CPU time counts as ours


def _tell_ends(seats: dict, how: int) -> None:
    """Tell those who asked for a process how it has ended."""
    while seats:
        pid, status = os.waitpid(-1, how)
        if pid == 0:
            return
        with seats.pop(pid) as seat, contextlib.suppress(OSError):
            seat.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _run(seat: socket.socket, sockets: list, pipes: list) -> None:
    """Run the code that is asked for, with the files, folder and environment of who asks."""
    for one in sockets:
        one.close()
    for one in pipes:
        os.close(one)
    request, files, _, _ = socket.recv_fds(seat, MOST, len(PIPED))
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    code, arguments, folder, environment = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = ""
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    sys.argv = ["-c", *arguments]

    def end_with_who_asked():
        seat.recv(1)
        os._exit(1)

    threading.Thread(target=end_with_who_asked, daemon=True).start()
    end = 0
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as error:
        end = error.code or 0
    except BaseException:
        traceback.print_exc()
        end = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end)


# In a process that asks.


def asked(path: str, code: str, arguments, folder, environment, files=PIPED):
    """Ask for a process; returns the socket to it, as a file, and its pid."""
    seat = socket.socket(socket.AF_UNIX)
    seat.connect(str(path))
    request = json.dumps([code, list(arguments), str(folder), dict(environment)]).encode()
    socket.send_fds(seat, [request], list(files))
    said = seat.makefile()
    return seat, said, int(said.readline())


def sit(path: str, code: str, *arguments: str) -> int:
    """Take the place of a process until it ends."""
    environment = {name: it for name, it in os.environ.items() if name != "JPY_PARENT_PID"}
    _, said, _ = asked(path, code, arguments, os.getcwd(), environment)
    return int(said.readline() or 1)


class Forked:
    """A process with pipes, of which what tests use is as in subprocess.Popen."""

    def __init__(self, path: str, code: str, folder, environment):
        their_in, to_it = os.pipe()
        out, their_out = os.pipe()
        errors, their_errors = os.pipe()
        theirs = (their_in, their_out, their_errors)
        self.seat, self._said, self.pid = asked(path, code, (), folder, environment, theirs)
        for file in theirs:
            os.close(file)
        self.stdin = open(to_it, "w")
        self.stdout, self.stderr = open(out), open(errors)
        self.returncode = self._printed = None

    def poll(self) -> int | None:
        """The exit code, or None as long as the process runs."""
        if self.returncode is None and select.select([self.seat], [], [], 0)[0]:
            self.returncode = int(self._said.readline())
        return self.returncode

    def wait(self) -> int:
        """The exit code, when the process has ended."""
        if self.returncode is None:
            self.returncode = int(self._said.readline())
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, given: str = "") -> tuple[str, str]:
        """What it prints, and its errors, when it has ended."""
        if self._printed is None:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(given)
            with self.stdout, self.stderr, self.seat, self._said:
                self._printed = self.stdout.read(), self.stderr.read()
                self.wait()
        return self._printed


@contextlib.contextmanager
def forking(path: Path, modules, *options: str) -> Iterator[None]:
    """A process that forks, at a socket."""
    command = [sys.executable, *options, __file__, "serve", str(path), *modules]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        while not path.exists() and process.poll() is None:
            time.sleep(0.01)
        yield
    finally:
        process.communicate()


if __name__ == "__main__":
    sys.exit({"serve": serve, "sit": sit}[sys.argv[1]](*sys.argv[2:]))
