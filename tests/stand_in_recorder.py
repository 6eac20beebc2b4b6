"""Record a guest of the stand-in for QEMU: ``python stand_in_recorder.py FOLDER OUT``."""

import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd

import freehint as fh
from freehint.record import guest, qemu
from freehint.record.kernels import Found, Kernel
from freehint.record.lists.pages import COLUMNS as LRU_COLUMNS
from freehint.record.lists.tables import COLUMNS, Lists
from freehint.record.migration import move
from freehint.record.probes import PROBES
from freehint.record.workloads import Workload

SCRIPT = Path(__file__)
RELEASE = "6.1.0-57-cloud-amd64"
ENTRIES = {"T0": 2, "T1": 3}  # markers before each snapshot


def made_lists() -> Lists:
    """The lists of a made guest, with what the snapshot of a real one has besides."""
    return Lists(
        _typed("freelist", fh.free_lists(memory := fh.make_memory("64MiB")).assign(reported=0)),
        _typed("pcp", fh.pcp_lists(memory)),
        _typed("pageblock", fh.pageblocks(memory)),
        _meta(memory),
    )


def made_lru() -> pd.DataFrame:
    """LRU lists of two pages."""
    made = pd.DataFrame({"list": ["inactive_file", "active_file"], "pfn": [7, 5]})
    return made.reindex(columns=list(LRU_COLUMNS), fill_value=0).astype(LRU_COLUMNS)


def _typed(kind: str, table: pd.DataFrame) -> pd.DataFrame:
    return table[list(COLUMNS[kind])].astype(COLUMNS[kind])


def _meta(memory) -> dict:
    from freehint.formats.snapshot_out import _meta as meta_of

    meta = meta_of(memory, RELEASE)
    for zone in meta["zones"]:
        zone["lock"] = 0
    return meta


class Reader:
    """Reads the lists of the stand-in's dumps, which are always the same."""

    torn = False

    def __init__(self, dump: Path):
        self.moment = dump.name.partition(".")[0]

    def lists(self) -> Lists:
        lists = made_lists()
        trace = {"cpu": 0, "entries": ENTRIES[self.moment], "overrun": 0}
        lists.meta["trace"] = [trace | {"commit_overrun": 0, "dropped_events": 0}]
        if self.torn and self.moment == "T1":
            return lists._replace(freelist=lists.freelist.iloc[1:])
        return lists


def install(folder: Path, patch=setattr) -> None:
    """Put the stand-in into PATH, and files in place of a kernel."""
    program = folder / "qemu-system-x86_64"
    source = Path(__file__).with_name("stand_in_qemu.py")
    program.write_text(f"#!{sys.executable} -S\n{source.read_text()}")
    program.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    symbols = folder / "System.map"
    symbols.write_text("".join(f"0 T {probe.function}\n" for probe in PROBES["6.1"]))
    kernel = Kernel("linux-image", "6.1", RELEASE, folder, folder, folder, symbols, None)
    found = Found(None, "linux-image", "6.1", RELEASE, ())
    patch(qemu, "KVM", str(folder / "no-kvm"))
    patch(move, "ENDED_S", 0.1)
    patch(guest, "TOOLS", ("qemu-system-x86_64",))
    patch(guest, "require_drgn", lambda: None)  # The stand-in's dumps need none.
    patch(guest, "reading_kernel", lambda what: nullcontext())
    patch(guest, "find_kernel", lambda text, headers: found)
    patch(guest, "fetch_kernel", lambda found: kernel)
    patch(guest, "write_initramfs", lambda path, *_: path.write_text("an initramfs"))
    patch(guest, "open_program", lambda dump, vmlinux: dump)
    patch(guest, "Reader", Reader)
    patch(guest, "read_lru", lambda _: made_lru())
    for name in ("SETTLE_S", "MARK_S"):
        patch(guest, name, 0.0)


def order(out: Path) -> guest.Order:
    return guest.Order("made", out, "6.1", 256 << 20, 1, Workload("wl_idle 1"))


def ended(folder: Path, patience_s: float = 10) -> bool:
    """Whether all stand-ins end; a zombie, whose parent is gone or busy, has ended."""
    deadline = time.monotonic() + patience_s
    left = (folder / "pid").read_text().split()
    while left and time.monotonic() < deadline:
        left = [number for number in left if _runs(number)]
        time.sleep(0.02 if left else 0)
    return not left


def _runs(number: str) -> bool:
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


if __name__ == "__main__":
    from freehint.cli import main

    install(Path(sys.argv[1]))
    options = ["--out", sys.argv[2], "--memory", "256M", *sys.argv[3:]]
    sys.exit(main(["record", "guest", "made", *options]))
