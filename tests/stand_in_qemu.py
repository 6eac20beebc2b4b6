"""A stand-in for QEMU, first in PATH: it answers on the same sockets, and runs nothing.

What it does differently is chosen by words in $STAND_IN: "full" lets a dump fail as on a full disk,
"lost" counts a lost row, "complains" has a warning in dmesg, "hangs" never ends its workload, and
"dies" ends when the workload begins.
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
TRACE = "            init-1       [000]      2.{:06d}: tracing_mark_write: {}\n"


def words() -> list[str]:
    return os.environ.get("STAND_IN", "").split()


def monitor(connection) -> None:
    connection.sendall(b'{"QMP": {}}\n')
    for line in connection.makefile():
        command = json.loads(line)
        answer = {"return": {}}
        if command["execute"] == "dump-guest-memory":
            path = Path(command["arguments"]["protocol"].removeprefix("file:"))
            path.write_text("a dump")
            if "full" in words():
                answer = {"error": {"desc": "dump: failed to save memory: No space left on device"}}
        connection.sendall(json.dumps({"event": "STOP"}).encode() + b"\n")
        connection.sendall(json.dumps(answer).encode() + b"\n")


def shell(connection, data: Path) -> None:
    marks = []
    connection.sendall(b"noise of the boot\n::READY\n")
    for line in connection.makefile():
        command, said, status = line.strip(), "", 0
        if found := re.match(r"mark (FH \w+)", command):
            marks.append(found[1])
        if command == "statistics":
            said = STATISTICS.format(len(marks), int("lost" in words()))
        elif command == "cat $T/kprobe_profile":
            said = "  isolate     0     0"
        elif command.startswith("complaints") and "complains" in words():
            said = "[    9.1] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c"
        elif command.startswith("cat $T/trace >"):
            data.write_text("".join(TRACE.format(i, text) for i, text in enumerate(marks)))
        elif command.startswith("wl_"):
            if "dies" in words():
                print("stand-in: killed by the host", file=sys.stderr, flush=True)
                os._exit(3)
            if "hangs" in words():
                time.sleep(600)
        connection.sendall(f"{said}{chr(10) if said else ''}::DONE {status}\n".encode())


def main() -> None:
    if "PID" in os.environ:
        Path(os.environ["PID"]).write_text(str(os.getpid()))
    found = [re.match(r"socket,id=(\w+),fd=(\d+)", word) for word in sys.argv]
    ends = {match[1]: socket.socket(fileno=int(match[2])) for match in found if match}
    (path,) = (w.partition("path=")[2] for w in sys.argv if w.startswith("file,id=data"))
    other = threading.Thread(target=shell, args=(ends["ctl"], Path(path)), daemon=True)
    other.start()
    monitor(ends["qmp"])


if __name__ == "__main__":
    main()
