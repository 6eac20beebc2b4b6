"""Record a guest: T0, a workload or a migration under the trace, T1; then the checks and files.

The order of the steps is that of the recordings in ``data/``: the guest boots, a workload may run
before the trace begins, the marker ``FH T0`` stands in the trace just before the guest is stopped
and dumped, and so does ``FH T1``.  The walker's knobs stand in a marker before its walk.
A guest that migrates has the markers ``FH before`` and ``FH after``; T1 is its destination's.
"""

import contextlib
import gzip
import json
import re
import shutil
import socket
import threading
import time
from pathlib import Path

from freehint.config import InputError
from freehint.files import scratch_folder, writing
from freehint.formats.info import events_of, vmstat_delta
from freehint.formats.traces.marks import marked_steps
from freehint.formats.traces.recording import MARKERS
from freehint.record import module
from freehint.record.initramfs import write_initramfs
from freehint.record.kernels import Kernel, fetch_kernel, find_kernel
from freehint.record.lists.kernel import Reader
from freehint.record.lists.lru import read_lru, write_lru
from freehint.record.lists.program import open_program, reading_kernel, require_drgn
from freehint.record.lists.tables import checked, write_lists
from freehint.record.machine import Machine
from freehint.record.migration.move import EVENTS, SOCKET, look_after, look_before, migrate
from freehint.record.migration.table import TABLE, record_of, write_table
from freehint.record.order import Order, check_order, info_of
from freehint.record.probes import REPORTING, Chosen, choose_probes, read_symbols
from freehint.record.qemu import WORK_S, Destination, Guest
from freehint.record.reclaim.balloon import run_parts
from freehint.record.reclaim.disks import commands, drive_tools, drives_bytes, make_drives
from freehint.record.reclaim.probes import reclaim_probes
from freehint.record.steps import Steps, signals_end_it
from freehint.record.tools import require_tools
from freehint.record.trace import (
    begin_trace,
    check_profile,
    check_statistics,
    make_buffer,
    write_trace,
)
from freehint.record.workloads import NOTHING

TOOLS = ("qemu-system-x86_64", "busybox", "cpio", "gcc")
SETTLE_S = 1.0
MARK_S = 0.3  # between a marker and the stop of the guest
RESIDENT_S = 0.25
ROW_BYTES = 250  # a row of the trace's text has about 140
OUT_OF_MEMORY = "'Out of memory'"
PATIENCE_S, LEAST_ROWS_PER_S = 60, 1_000  # of the trace on its way out; TCG has 75,000 a second


def record_guest(order: Order) -> Path:
    """Record one guest.

    Returns
    -------
    Path
        The stem: OUT/NAME.

    Raises
    ------
    InputError
        Something is missing or refused, a check does not hold, or the disk is full.  Nothing is
        left behind.
    ChildProcessError
        A program or the guest failed, or a signal ended the recording.
    """
    check_order(order)
    tools = drive_tools(bool(order.files), bool(order.drives.swap_mib))
    require_tools((*TOOLS, *tools), "freehint record guest")
    require_drgn()
    if order.knobs is not None:
        module.sources(order.modules)
    steps = Steps()
    with signals_end_it(), writing(order.out):
        with steps.step("packages"):
            found = find_kernel(order.kernel, headers=order.knobs is not None)
        order.out.mkdir(parents=True, exist_ok=True)
        space = 2 * order.memory + drives_bytes(order.drives)
        what = " and its drives" if space > 2 * order.memory else ""
        _require_space(order.out, space, f"two dumps of the guest{what}")
        with scratch_folder(order.out) as folder:
            with steps.step("kernel"):
                kernel = fetch_kernel(found)
            _record(order, kernel, folder, steps)
            for path in sorted(folder.glob(f"{order.name}.*")):
                path.rename(order.out / path.name)
            if (table := folder / TABLE).exists():
                table.rename(order.out / TABLE)
    return order.out / order.name


def _require_space(folder: Path, needed: int, what_for: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: the disk has {free >> 20} MiB, and {what_for} may need {needed >> 20} MiB"
        )


def _record(order: Order, kernel: Kernel, folder: Path, steps: Steps) -> None:
    """All steps after the kernel is there; the files are in ``folder`` afterwards."""
    symbols = read_symbols(kernel.symbols)
    probes = choose_probes(kernel.release, symbols)
    if order.reclaim:
        probes = reclaim_probes(probes, kernel, symbols)
    if order.reporting:
        probes = probes._replace(probes=probes.probes + REPORTING)
    for probe in probes.missing:
        print(f"no probe {probe.event!r}: kernel {kernel.release} has no {probe.function}")
    with steps.step("drives"):
        drives = make_drives(folder, order.files or {}, order.drives)
    with steps.step("initramfs"):
        walker = None
        if order.knobs is not None:
            walker = module.build(order.modules, kernel.headers, kernel.release)
        scripts = {"workload": order.workload, "before": order.before}
        write_initramfs(folder / "initramfs", kernel, scripts, walker, bool(drives))
    info = info_of(order, kernel, probes)
    dumps = {moment: folder / f"{moment}.dump" for moment in MARKERS}
    machine = Machine(kernel, folder / "initramfs", order.memory, order.cpus, order.reporting)
    machine = machine._replace(drives=drives, append=order.append)
    if order.migration:
        machine = machine._replace(hinting=order.migration.hints, events=EVENTS)
    guest = Guest(folder, machine)
    with contextlib.ExitStack() as ends:
        with steps.step("boot"):
            ends.enter_context(guest)
        destination = None
        if order.migration:
            (folder / "destination").mkdir()
            outgoing, incoming = socket.socketpair()
            destination = Destination(guest, incoming, folder / "destination", machine)
            ends.enter_context(destination)
            with outgoing:
                guest.qmp("getfd", [outgoing.fileno()], fdname=SOCKET)
        moved = _run(order, guest, destination, probes, info, dumps, steps)
        last = destination or guest
        entries = _end(order, last, info, steps)
    for moment, dump in dumps.items():
        with steps.step(f"lists {moment}"), reading_kernel(moment):
            reader = Reader(open_program(dump, kernel.vmlinux))
            write_lists(checked(reader.lists(), moment), folder / f"{order.name}.{moment}")
            if order.reclaim:
                write_lru(read_lru(reader), folder / f"{order.name}.{moment}.lru.parquet")
            dump.unlink()
    with steps.step("parquet"):
        trace = write_trace(
            last.data, folder / f"{order.name}.trace.parquet", entries, order.reclaim
        )
    marked = [step._asdict() for step in marked_steps(trace)]
    info |= {"rows": len(trace), "steps": marked, "steps_s": steps.seconds}
    _write_json(folder / f"{order.name}.info.json.gz", info)
    if moved:
        # The checks have held.
        moved |= {"ok": True, "guest_oops": False}
        for name in ("setup", "stats"):
            moved[f"guest_trace_{name}"] = info[f"trace_{name}"]
        write_table(order.out, moved, folder / TABLE)
        _write_json(folder / f"{order.name}.migration.json.gz", moved)


def _write_json(path: Path, record: dict) -> None:
    path.write_bytes(gzip.compress(json.dumps(record, indent=1).encode(), mtime=0))


def _run(
    order: Order,
    guest: Guest,
    destination: Destination | None,
    probes: Chosen,
    info: dict,
    dumps: dict,
    steps: Steps,
) -> dict:
    """Run the guest from its boot to T1, fill in ``info``, and return the migration's record.

    Without a migration the record is empty.
    """
    # A path of this machine says nothing to others.
    info["qemu_args"] = [re.sub(r"(?<![\w.])/[^\s,]*/", "", word) for word in guest.arguments]
    info["accelerator"] = guest.accelerator
    info["proc_boot"] = guest.shell("proc_files")
    if order.knobs is not None:
        guest.shell("insmod /lib/modules/fhwalk.ko")
    for line in commands(order.files or {}, order.drives.swap_mib):
        guest.shell(line)
    if order.reclaim:  # a full guest has no memory for them
        make_buffer(guest, order)
    with steps.step("before"):
        _, info["balloon_before"] = run_parts(guest, order.before, WORK_S)
    record = {}
    if order.migration:
        fill_mib = int(guest.shell("echo ${FILL_MIB:-0}"))
        workloads = order.before, order.workload
        record = record_of(order.migration, order.memory, *workloads, fill_mib)
    if not order.reclaim:
        make_buffer(guest, order)
    info["trace_setup"] = begin_trace(guest, order, probes)
    guest.shell("mark FH start")
    before = look_before(guest) if order.migration else {}
    time.sleep(SETTLE_S)
    if order.reclaim:
        info["proc_T0"] = guest.shell("vm_files")
    with steps.step("T0"):
        _snapshot(order, guest, "T0", dumps["T0"])
    resident, stop = [], threading.Event()
    watcher = threading.Thread(target=_watch, args=(guest, resident, stop), daemon=True)
    watcher.start()
    began, cpu = time.monotonic(), guest.cpu_s()
    with steps.step("migration" if order.migration else "workload"):
        output, info["balloon"] = _work(order, guest, destination, record)
    info["workload"] = {
        "rc": 0,
        "output": output[-2000:],
        "wall_s": time.monotonic() - began,
        "qemu_cpu_s": guest.cpu_s() - cpu,
    }
    stop.set()
    watcher.join()
    info["rss"] = [[round(at - began, 2), kib] for at, kib in resident]
    if order.migration:
        guest.end()  # the host has its memory back
        guest = destination
        record |= look_after(guest, before)
        time.sleep(SETTLE_S)
    if order.knobs is not None:
        info["walker"] = guest.shell("knobs")
    if order.reclaim:
        info["vm_T1"] = guest.shell("vm_files")
        info["vmstat_delta"] = events_of(vmstat_delta(info, "the guest"))
    with steps.step("T1"):
        _snapshot(order, guest, "T1", dumps["T1"])
    return record


def _end(order: Order, guest: Guest, info: dict, steps: Steps) -> int:
    """Check a guest after T1, take its trace, fill in ``info``, and return the trace's rows."""
    info["proc_T1"] = guest.shell("proc_files")
    guest.shell("mark FH end; echo 0 > $T/tracing_on")
    info["dmesg"] = guest.shell("dmesg | tail -n 60")
    info["trace_stats"] = guest.shell("statistics")
    info["kprobe_profile"] = guest.shell("cat $T/kprobe_profile")
    # Under reclaim the OOM killer may be what is recorded.
    complaint = guest.shell(f"complaints {'' if order.reclaim else OUT_OF_MEMORY} || true")
    if complaint:
        raise InputError(f"the guest's kernel complains: {complaint}")
    check_profile(info["kprobe_profile"])
    entries = check_statistics(info["trace_stats"])
    with steps.step("trace"):
        # QEMU would wait for ever, were the disk full.
        _require_space(guest.data.parent, entries * ROW_BYTES, "the trace's text")
        guest.shell("cat $T/trace > $DATA", PATIENCE_S + entries / LEAST_ROWS_PER_S)
    return entries


def _snapshot(order: Order, guest: Guest, moment: str, dump: Path) -> None:
    guest.shell(f"mark {MARKERS[moment][order.migration is not None]}")
    time.sleep(MARK_S)
    guest.dump(dump)


def _work(
    order: Order, guest: Guest, destination: Destination | None, record: dict
) -> tuple[str, list]:
    """Run the workload; it runs beside a walk or a migration, and ends with it.

    It returns what the guest said, and the courses of the balloon.
    """
    beside = order.workload != NOTHING
    if order.migration:
        if beside:
            guest.shell(f"begin_background '{order.workload.command}'; sleep 1")
        record |= migrate(guest, destination, order.migration, order.memory)
        return destination.shell("end_background") if beside else "", []
    if order.knobs is None:
        return run_parts(guest, order.workload, WORK_S)
    words = " ".join(f"{name}={value}" for name, value in order.knobs.items())
    guest.shell(f"begin_background '{order.workload.command}'; sleep 1")
    output = guest.shell(f"walk {words}", WORK_S)
    guest.shell("end_background")
    return output, []


def _watch(guest: Guest, resident: list, stop: threading.Event) -> None:
    """Note the guest's memory on the host until ``stop`` is set."""
    while not stop.wait(RESIDENT_S):
        with contextlib.suppress(OSError, IndexError):  # QEMU has ended
            resident.append((time.monotonic(), guest.resident_kib()))
