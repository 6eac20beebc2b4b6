"""A guest of 1 TiB: made, written, loaded, walked and migrated, each in a process of its own.

``python -m benchmarks.terabyte`` prints one row for each step: seconds, peak memory of the process
(VmHWM: interpreter, libraries and everything), and its result.  Exit 1 if a step takes more
than 6 GiB.  Kernels are compiled before, by the same steps on a small guest.

Another process touches as much memory just before: where this machine is a guest itself, its host
may have taken free memory back, and then the first touch of 4 GiB costs as much as the step.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import freehint as fh
from benchmarks.memory import memory_MiB
from freehint.units import NS_PER_MS, NS_PER_S, PAGE_SIZE, parse_size

MOST_GIB = 6.0
STRUCT_PAGES_GIB = 16.0  # 64 bytes for each of its 2^28 frames
LEAST_TOUCHED = 64 << 20
MISSED = 1
FRAGMENTATION = 0.01  # of the order-10 blocks: some 300,000 blocks of small orders
BANDWIDTH_BPS = 12_500_000_000  # 100 Gbit/s
FILLED = 4  # the guest has filled a quarter of its memory, and left it
POLICIES = ("none", "balloon_alloc", "v24")
WALKED = ("v24", "restartable_cursor")


class Step(NamedTuple):
    """One step: its seconds, CPU seconds, those of the kernel among them, peak memory, result."""

    name: str
    seconds: float
    cpu_s: float
    kernel_s: float
    peak_GiB: float
    found: dict


def _make(size: str, stem: Path) -> dict:
    memory = fh.make_memory(size, fragmentation=FRAGMENTATION)
    nr_bytes = sum(array.nbytes for array in memory if hasattr(array, "nbytes"))
    return {
        "frames": memory.nr_pages,
        "bytes_per_frame": round(nr_bytes / memory.nr_pages, 3),
        "free_blocks": int(memory.nr_free.sum()),
    }


def _write(size: str, stem: Path) -> dict:
    fh.save_snapshot(fh.make_memory(size, fragmentation=FRAGMENTATION), stem)
    return {"file_MB": round(sum(f.stat().st_size for f in stem.parent.iterdir()) / 1e6, 1)}


def _load(size: str, stem: Path) -> dict:
    memory = fh.load_snapshot(stem)
    fh.check_memory(memory)
    return {"frames": memory.nr_pages, "rows": len(fh.free_lists(memory))}


def _walk(policy: str):
    """The policy's whole walk over the loaded guest while its four CPUs work."""

    def step(size: str, stem: Path) -> dict:
        scenario = fh.Scenario(memory=stem, policy=policy, duration_ns=NS_PER_S)
        walk = fh.simulate(scenario).walks.iloc[0]
        names = ("walkable_pages", "offered_pages", "hinted_pages")
        walked_ms = round((walk["end_ns"] - walk["begin_ns"]) / NS_PER_MS, 1)
        return {"completed": bool(walk["completed"]), "walk_ms": walked_ms} | {
            name: int(walk[name]) for name in names
        }

    return step


def _migrate(policy: str):
    """A migration at 100 Gbit/s of a guest that has filled and left a quarter of its memory."""

    def step(size: str, stem: Path) -> dict:
        guest = fh.Program(state="freed", fill_MiB=parse_size(size) // FILLED >> 20)
        link = fh.MigrationConfig(bandwidth_Bps=BANDWIDTH_BPS)
        seconds = 20 + parse_size(size) // PAGE_SIZE * 3 // 1_000_000
        run = fh.simulate(
            fh.Scenario(
                memory=size,
                policy=policy,
                workload=guest,
                migration=link,
                duration_ns=seconds * NS_PER_S,
            )
        )
        names = ("normal_pages", "zero_pages", "skipped_pages", "rounds", "lost_writes")
        return {
            "migration": run.summary["migration"],
            "total_s": round(run.summary["total_ns"] / NS_PER_S, 1),
            **{name: run.summary[name] for name in names},
        }

    return step


STEPS = {
    "make": _make,
    "write snapshot": _write,
    "load snapshot": _load,
    **{f"walk, {policy}": _walk(policy) for policy in WALKED},
    **{f"migrate, {policy}": _migrate(policy) for policy in POLICIES},
}


def touch(size: str) -> None:
    """Let a process of its own touch as much memory as a step may take, and end."""
    nr_bytes = int(MOST_GIB * min(1.0, parse_size(size) / parse_size("1TiB")) * (1 << 30))
    if nr_bytes < LEAST_TOUCHED:
        return
    code = f"import numpy; numpy.zeros({nr_bytes}, numpy.uint8)[::{PAGE_SIZE}] = 1"
    subprocess.run([sys.executable, "-c", code], check=True)


def run_step(name: str, size: str, stem: Path) -> Step:
    """One step, here; its peak is that of this process so far."""
    touch(size)
    begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    found = STEPS[name](size, stem)
    seconds, now = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    kernel_s = now.ru_stime - used.ru_stime
    cpu_s = kernel_s + now.ru_utime - used.ru_utime
    return Step(name, seconds, cpu_s, kernel_s, memory_MiB("VmHWM") / 1024, found)


def _in_own_process(name: str, size: str, stem: Path) -> Step:
    command = [sys.executable, "-m", "benchmarks.terabyte", "--step", name, "--size", size]
    done = subprocess.run([*command, "--stem", str(stem)], capture_output=True, text=True)
    if done.returncode:
        raise ChildProcessError(f"{name}, {size}: {done.stderr.strip().splitlines()[-1]}")
    return Step(*json.loads(done.stdout.splitlines()[-1]))


def terabyte(size: str = "1TiB", names=tuple(STEPS), small: str = "256MiB"):
    """The steps one after another, each in a process of its own.

    Parameters
    ----------
    size : str
    names : sequence of str
        Of STEPS, in their order; to load and walk, a snapshot must be written before.
    small : str
        A guest with which each step is done before, to compile its kernels.

    Yields
    ------
    Step
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for guest in (small, size):
                stem = Path(folder) / guest / "guest.T0"
                step = _in_own_process(name, guest, stem)
            yield step


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.terabyte", description=__doc__)
    parser.add_argument("--size", default="1TiB")
    parser.add_argument("--step", choices=STEPS, help="this one alone, in this process")
    parser.add_argument("--stem", type=Path, help="of the snapshot, for --step")
    args = parser.parse_args(arguments)
    if args.step:
        print(json.dumps(run_step(args.step, args.size, args.stem)))
        return 0
    missed = False
    for step in terabyte(args.size):
        found = ", ".join(f"{name} {value}" for name, value in step.found.items())
        missed |= step.peak_GiB > MOST_GIB
        print(
            f"{args.size} {step.name:24} {step.seconds:7.1f} s {step.cpu_s:7.1f} CPU s"
            f" ({step.kernel_s:.1f} s of them the kernel's) {step.peak_GiB:5.2f} GiB peak  {found}",
            flush=True,
        )
    print(f"at most {MOST_GIB} GiB: {'MISSED' if missed else 'ok'}")
    return MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main())
