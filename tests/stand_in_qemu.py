"""A stand-in for QEMU, first in PATH: it answers on the same sockets, and runs nothing.

What it does differently is chosen by words in $STAND_IN: "full" lets a dump fail as on a full disk,
"lost" counts a lost row, "complains" has a warning in dmesg, "hangs" never ends its workload,
"dies" ends when the workload begins, and with "stuck" a balloon never reaches its target.  A
migration sends the marks of the trace to the other stand-in; with "fails" it fails, with "endless"
it never completes, with "damages" a file of the guest is another one afterwards, and with "refuses"
the destination ends.
"""

import json
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path

STATISTICS = "### 0\nentries: {}\noverrun: {}\ncommit overrun: 0\ndropped events: 0"
TRACE = "            init-1       [000] {}     2.{:06d}: tracing_mark_write: {}\n"
VM_FILES = "### /proc/vmstat\nnr_free_pages {}\npgfree {}\n### /proc/meminfo\nMemFree: 5 kB"


def words() -> list[str]:
    return os.environ.get("STAND_IN", "").split()


class Guest:
    """The state of the guest that nothing runs: the marks in its trace, and whether it is here."""

    def __init__(self, incoming):
        self.marks, self.incoming, self.moved = [], incoming, False
        self.files = {}
        self.flags, self.balloon = "", 1 << 30

    def answer(self, command: str, arguments: dict, files: list):
        """What the monitor returns."""
        if command == "dump-guest-memory":
            Path(arguments["protocol"].removeprefix("file:")).write_text("a dump")
            if "full" in words():
                raise OSError("dump: failed to save memory: No space left on device")
        if command == "getfd":
            self.files[arguments["fdname"]] = socket.socket(fileno=files[0])
        if command == "balloon":
            self.balloon = arguments["value"] + (1 << 20) * ("stuck" in words())
        if command == "migrate":
            self.send(self.files[arguments["uri"].removeprefix("fd:")])
        return {
            "query-version": {"qemu": {"major": 7, "minor": 2, "micro": 22}},
            "query-balloon": {"actual": self.balloon},
            "query-migrate-capabilities": [{"capability": "xbzrle", "state": False}],
            "query-migrate-parameters": {"downtime-limit": 300},
            "query-migrate": self.progress(),
            "query-status": {"status": "running" if self.marks else "inmigrate"},
        }.get(command, {})

    def send(self, connection) -> None:
        if not {"endless", "fails"} & set(words()):
            connection.sendall(json.dumps(self.marks).encode() + b"\n")
            self.moved = "refuses" not in words()

    def receive(self) -> None:
        came = self.incoming.makefile().readline()
        if came and "refuses" in words():
            print("stand-in: no such device", file=sys.stderr, flush=True)
            os._exit(1)
        self.marks = json.loads(came or "[]")

    def progress(self) -> dict:
        ram = {"transferred": 9, "remaining": 3 << 20, "dirty-sync-count": 7, "total": 1 << 30}
        if self.moved:
            ram |= {"normal": 5, "duplicate": 6, "mbps": 1.23, "pages-per-second": 12}
            times = {"total-time": 21, "downtime": 3, "setup-time": 1}
            return {"status": "completed", "ram": ram, **times}
        if "fails" in words():
            return {"status": "failed", "error-desc": "Unable to write to socket: Broken pipe"}
        return {"status": "failed" if "refuses" in words() else "active", "ram": ram}


def monitor(connection, guest: Guest) -> None:
    connection.sendall(b'{"QMP": {}}\n')
    rest = b""
    while True:
        data, files, _, _ = socket.recv_fds(connection, 1 << 16, 1)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            try:
                answer = {"return": guest.answer(command["execute"], command["arguments"], files)}
            except OSError as error:
                answer = {"error": {"desc": str(error)}}
            connection.sendall(json.dumps({"event": "STOP"}).encode() + b"\n")
            connection.sendall(json.dumps(answer).encode() + b"\n")


def shell(connection, data: Path, guest: Guest) -> None:
    if guest.incoming:
        guest.receive()
    else:
        connection.sendall(b"noise of the boot\n::READY\n")
    for line in connection.makefile():
        command, said, status = line.strip(), "", 0
        if found := re.match(r"mark (FH [\w ]+)", command):
            guest.marks.append(found[1])
        if command == "statistics":
            said = STATISTICS.format(len(guest.marks), int("lost" in words()))
        elif command.startswith("trace_buffer"):
            guest.flags = "..s1." if command.endswith(" 1") else ""
        elif command == "vm_files":
            said = VM_FILES.format(7 - len(guest.marks), 100 * len(guest.marks))
        elif command == "cat $T/kprobe_profile":
            said = "  isolate     0     0"
        elif command == "echo ${FILL_MIB:-0}":
            said = os.environ.get("FILL_MIB", "0")
        elif command.startswith("md5sum"):
            said = "5d41 " if "damages" in words() and guest.incoming else "900d "
        elif command.startswith("complaints") and "complains" in words():
            said = "[    9.1] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c"
        elif command.startswith("cat $T/trace >"):
            lines = [TRACE.format(guest.flags, i, text) for i, text in enumerate(guest.marks)]
            data.write_text("".join(lines))
        elif command.startswith("wl_"):
            if "dies" in words():
                print("stand-in: killed by the host", file=sys.stderr, flush=True)
                os._exit(3)
            if "hangs" in words():
                time.sleep(600)
        connection.sendall(f"{said}{chr(10) if said else ''}::DONE {status}\n".encode())


def main() -> None:
    if "PID" in os.environ:
        with open(os.environ["PID"], "a") as file:
            file.write(f"{os.getpid()}\n")
    found = [re.match(r"socket,id=(\w+),fd=(\d+)", word) for word in sys.argv]
    ends = {match[1]: socket.socket(fileno=int(match[2])) for match in found if match}
    (path,) = (w.partition("path=")[2] for w in sys.argv if w.startswith("file,id=data"))
    came = [re.match(r"fd:(\d+)", word) for word in sys.argv]
    guest = Guest(next((socket.socket(fileno=int(one[1])) for one in came if one), None))
    other = threading.Thread(target=shell, args=(ends["ctl"], Path(path), guest), daemon=True)
    other.start()
    monitor(ends["qmp"], guest)


if __name__ == "__main__":
    main()
