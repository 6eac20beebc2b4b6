"""One guest under QEMU, its control by QMP, and a shell in it; it never outlives its recorder."""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from freehint.record.lines import Lines
from freehint.record.machine import Machine, escaped
from freehint.record.tools import last_line

KVM = "/dev/kvm"
KVM_CREATE_VM = 0xAE01  # include/uapi/linux/kvm.h
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
LOGGED = re.compile(r"(?:\S+ )?(?:\d+@)?(\d+\.\d+):(\w+) (.*)")
TCG = "tcg,thread=single"
BOOT_S = {"kvm": 15, TCG: 300}  # most seconds from QEMU's start to the guest's first answer
ANSWER_S = 60
WORK_S = 3600
QUIT_S = 10


def accelerators() -> list[str]:
    """QEMU's accelerators to try: KVM if this user can make a guest with it, then TCG."""
    try:
        with open(KVM, "r+b", buffering=0) as kvm:
            os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    except OSError:
        return [TCG]
    return ["kvm", TCG]


def _end_with_parent() -> None:
    """Runs in the child: the kernel kills it as soon as its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Guest:
    """A running guest; the end of its ``with`` block is its end.

    It runs under the first of :func:`accelerators` under which it answers in time: a machine may
    have a KVM that makes guests and cannot run them.

    Parameters
    ----------
    folder : Path
        For its console and for what it sends through its port "data".
    machine : Machine

    Attributes
    ----------
    arguments : list of str
        QEMU's, but for the accelerator and the ends of sockets.
    accelerator : str
        "kvm" or "tcg,thread=single".
    data : Path
        The file with what came through the port "data".
    """

    def __init__(self, folder: Path, machine: Machine):
        self.data = folder / "data"
        self._console, self._output = folder / "console", folder / "qemu"
        self._log = folder / "log"
        self.arguments = [
            *machine.arguments(),
            *("-serial", f"file:{escaped(self._console)}"),
            *("-chardev", f"file,id=data,path={escaped(self.data)}"),
            *("-device", "virtserialport,nr=2,chardev=data,name=data"),
        ]
        if machine.events:
            self.arguments += ["-msg", "timestamp=on", "-D", str(self._log)]

    def __enter__(self):
        *others, last = accelerators()
        for accelerator in others:
            with contextlib.suppress(ChildProcessError):
                return self._begin(accelerator)
            print(
                f"no guest answers under {accelerator} within {BOOT_S[accelerator]} s; now {last}"
            )
        return self._begin(last)

    def _begin(self, accelerator: str):
        """Start QEMU, and wait until the guest answers."""
        self._start(accelerator)
        try:
            self._wait_for("::READY", BOOT_S[accelerator])
        except BaseException:
            self.end()
            raise
        return self

    def _start(self, accelerator: str, incoming: socket.socket | None = None) -> None:
        """Start QEMU; a guest that comes through ``incoming`` does not boot, and closes it here."""
        qmp, qmp_end = socket.socketpair()
        shell, shell_end = socket.socketpair()
        self.accelerator = accelerator
        passed = [qmp_end, shell_end]
        ends = [
            *("-accel", accelerator, "-mon", "chardev=qmp,mode=control"),
            *("-chardev", f"socket,id=qmp,fd={qmp_end.fileno()}"),
            *("-chardev", f"socket,id=ctl,fd={shell_end.fileno()}"),
        ]
        if incoming:
            passed.append(incoming)
            ends += ["-incoming", f"fd:{incoming.fileno()}"]
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(
                self.arguments[:1] + ends + self.arguments[1:],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[one.fileno() for one in passed],
                preexec_fn=_end_with_parent,
            )
        for one in passed:
            one.close()
        self._qmp, self._shell = Lines(qmp, self.why), Lines(shell, self.why)
        try:
            self._qmp.read(ANSWER_S)  # its greeting
            self.qmp("qmp_capabilities")
        except BaseException:
            self.end()
            raise

    def __exit__(self, *_):
        self.end()

    def end(self) -> None:
        """End QEMU, by force if it does not end when asked."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(QUIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        for lines in (self._qmp, self._shell):
            lines.connection.close()

    def why(self) -> str:
        """What QEMU or the guest's console said last."""
        self.process.wait(QUIT_S)
        said = self._output.read_text(errors="replace")
        if not said.strip() and self._console.exists():
            said = self._console.read_text(errors="replace")
        return last_line(said)

    def qmp(self, command: str, files=(), **arguments):
        """Run a command of QEMU's monitor.

        Parameters
        ----------
        command : str
        files : sequence of int
            Descriptors of open files that go with it.
        **arguments
            The command's own.

        Returns
        -------
        object
            What it returns.

        Raises
        ------
        ChildProcessError
            QEMU refuses it, or has ended.
        """
        self._qmp.write(json.dumps({"execute": command, "arguments": arguments}), files)
        while True:
            answer = json.loads(self._qmp.read(WORK_S))
            if "error" in answer:
                raise ChildProcessError(f"QEMU's {command} failed: {answer['error']['desc']}")
            if "return" in answer:  # anything else is an event
                return answer["return"]

    def shell(self, line: str, patience_s: float = ANSWER_S) -> str:
        """Run one line of shell in the guest.

        Returns
        -------
        str
            Its output.

        Raises
        ------
        ChildProcessError
            Its exit status is not 0, the guest has ended, or it takes more than ``patience_s``.
        """
        self._shell.write(line)
        said = []
        while True:
            found = self._shell.read(patience_s)
            head, done, status = found.rpartition("::DONE ")
            if not done:
                said.append(found)
                continue
            output = "\n".join([*said, head] if head else said)
            if status != "0":
                raise ChildProcessError(
                    f"in the guest {line!r} failed with status {status}: {last_line(output)}"
                )
            return output

    def _wait_for(self, line: str, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while self._shell.read(max(deadline - time.monotonic(), 1)) != line:
            pass

    def dump(self, path: Path) -> None:
        """Write the memory as an ELF file while the guest stands still."""
        self.qmp("stop")
        self.qmp("dump-guest-memory", paging=False, protocol=f"file:{path}")
        self.qmp("cont")

    def resident_kib(self) -> int:
        """Memory of the host that QEMU holds (VmRSS), in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def cpu_s(self) -> float:
        """CPU seconds that QEMU has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def logged(self) -> list:
        """QEMU's trace events: a list of [seconds since the first event, event, text]."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        found = [match for match in map(LOGGED.match, lines) if match]
        first = float(found[0][1]) if found else 0.0
        return [[round(float(match[1]) - first, 4), match[2], match[3]] for match in found]


class Destination(Guest):
    """A QEMU that waits for a guest to come; it has no guest until then.

    Parameters
    ----------
    source : Guest
        The running guest that is to come, under whose accelerator it will run.
    incoming : socket
        The end of a socket that it comes through; QEMU gets it, and it is closed here.
    *arguments, **options
        Those of :class:`Guest`, the same as the source's but for the folder.
    """

    def __init__(self, source: Guest, incoming: socket.socket, *arguments, **options):
        super().__init__(*arguments, **options)
        self._source, self._incoming = source, incoming

    def __enter__(self):
        self._start(self._source.accelerator, self._incoming)
        return self
