"""Mutated inputs for every loader: is each refused in one sentence, or accepted and sound?

``make fuzz`` runs it.  Input ``k`` of a loader follows from the seed, the loader's name and ``k``
alone; ``--only`` runs one again.  Progress is kept in ``out/fuzz/progress.json``, and a second call
goes on; ``--fresh`` begins anew.  Each finding stays in a folder ``out/fuzz/CLASS/LOADER-K``.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import time
import warnings
from collections import Counter, deque
from multiprocessing.connection import wait
from pathlib import Path

from freehint.files import end_with_parent, whole_file
from fuzzing.judge import CLASSES, CRASH, FINDINGS, HANG, Verdict
from fuzzing.loaders import LOADERS, Room, input_of, keep, seeds_of
from fuzzing.reach import reached

WORKERS = 2
CHUNK = 200  # inputs that a worker gets at once
HANG_S = 20.0
KEPT = 3  # findings kept of each place
MOST_MEMORY = 8 << 30
ZOO_SHARE = 24  # a run of a hostile policy takes as long as so many inputs


def run_chunk(seed: int, name: str, numbers: range, at, counts, find, loaders=LOADERS) -> None:
    """Judge some inputs of a loader.

    Parameters
    ----------
    seed : int
    name : str
    numbers : range
        The inputs' numbers.
    at : list or shared array
        Entry 0 becomes the number in work, entry 1 the time of its begin.
    counts : list or shared array
        Counts by class, in the order of CLASSES; they are counted up.
    find : callable
        Takes (number, verdict) of each finding.
    """
    with warnings.catch_warnings(), Room(loaders) as room:
        warnings.simplefilter("error")  # a sum that wraps is only warned of
        for k in numbers:
            one = input_of(seed, name, k, loaders)
            at[0], at[1] = k, time.monotonic()
            verdict = room.judge(one)
            at[1] = 0
            counts[CLASSES.index(verdict.kind)] += 1
            if verdict.kind in FINDINGS:
                find(k, verdict)


# Workers.


def work(loaders_of, seed: int, at, counts, pipe) -> None:
    """A worker process: judge the chunks that come through the pipe."""
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    loaders = loaders_of()
    while True:
        name, numbers = pipe.recv()
        run_chunk(seed, name, numbers, at, counts, lambda *found: pipe.send(found), loaders)
        pipe.send(None)


def shipped() -> dict:
    """The loaders that are run by default."""
    return LOADERS


class Worker:
    """A worker process and what its parent knows of it."""

    def __init__(self, loaders_of, seed: int):
        context = multiprocessing.get_context("spawn")
        self.at = context.RawArray("d", 2)
        self.counts = context.RawArray("l", len(CLASSES))
        self.pipe, theirs = context.Pipe()
        arguments = (loaders_of, seed, self.at, self.counts, theirs)
        self.process = context.Process(target=work, args=arguments)
        self.process.start()
        theirs.close()
        self.chunk = None

    def give(self, name: str, numbers: range) -> None:
        """Send a chunk."""
        self.chunk = name, numbers
        self.at[0], self.at[1] = numbers.start, 0
        self.counts[:] = [0] * len(CLASSES)
        self.begin = time.monotonic()
        self.pipe.send(self.chunk)

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Fuzz:
    """The inputs of some loaders, shared among worker processes.

    Parameters
    ----------
    seed : int
    out : Path
        Folder of the progress and the findings.
    wanted : dict
        Name of each loader -> number of its inputs.
    loaders_of : callable
        Gives the loaders; of the top level of a module, so that a worker finds it.
    hang_s : float
        An input that takes longer hangs.
    workers : int
        Number of processes.
    """

    def __init__(
        self, seed: int, out: Path, wanted: dict, loaders_of=shipped, hang_s=HANG_S, workers=WORKERS
    ):
        self.seed, self.out, self.wanted = seed, out, wanted
        self.loaders_of, self.hang_s, self.workers = loaders_of, hang_s, workers
        self.counts = {name: Counter() for name in wanted}
        self.seconds = Counter()
        self.left = {name: [[0, inputs]] for name, inputs in wanted.items()}
        self.places = Counter()

    # Progress.

    @property
    def _file(self) -> Path:
        return self.out / "progress.json"

    def resume(self) -> None:
        """Go on where an earlier call with this seed stopped."""
        if not self._file.exists():
            return
        found = json.loads(self._file.read_text())
        if found["seed"] != self.seed:
            raise SystemExit(f"{self._file} is of seed {found['seed']}; --fresh begins anew")
        self.places.update(found["places"])
        for name, before in found["loaders"].items():
            if name in self.wanted:
                self.counts[name].update(before["counts"])
                self.seconds[name] = before["seconds"]
                more = (
                    [[before["to"], self.wanted[name]]] if before["to"] < self.wanted[name] else []
                )
                self.left[name] = before["left"] + more
                self.wanted[name] = max(self.wanted[name], before["to"])

    def save(self, running=()) -> None:
        """Write what was done; chunks that run count as not done."""
        loaders = {
            name: {
                "counts": dict(self.counts[name]),
                "seconds": round(self.seconds[name], 3),
                "to": self.wanted[name],
                "left": [[n.start, n.stop] for one, n in running if one == name] + self.left[name],
            }
            for name in self.wanted
        }
        if self._file.exists():
            loaders = json.loads(self._file.read_text())["loaders"] | loaders
        found = {"seed": self.seed, "loaders": loaders, "places": dict(self.places)}
        with whole_file(self._file) as temporary:
            temporary.write_text(json.dumps(found, indent=1))

    # Work.

    def _next_chunk(self):
        """The next chunk of the loader that has had the fewest of its inputs."""
        left = {name: sum(b - a for a, b in spans) for name, spans in self.left.items()}
        name = max(left, key=lambda one: left[one] / max(self.wanted[one], 1))
        if not left[name]:
            return None
        span = self.left[name][0]
        numbers = range(span[0], min(span[0] + CHUNK, span[1]))
        span[0] = numbers.stop
        if span[0] == span[1]:
            self.left[name].pop(0)
        return name, numbers

    def found(self, name: str, k: int, verdict: Verdict) -> None:
        """Count a finding, and keep it if it is among the first of its place."""
        place = f"{name}: {verdict.kind}: {verdict.place}"
        self.places[place] += 1
        if self.places[place] <= KEPT:
            loaders = self.loaders_of()
            one = input_of(self.seed, name, k, loaders)
            keep(one, verdict, self.out / verdict.kind.replace(" ", "-") / f"{name}-{k}", loaders)

    def run(self, seconds: float | None = None, told=lambda done: None) -> None:
        """Judge all inputs that are left, or as many as ``seconds`` allow."""
        end = time.monotonic() + (seconds or float("inf"))
        workers, again = [], deque()
        try:
            while True:
                for worker in [w for w in workers if w.chunk is None]:
                    self._feed(worker, again, end)
                while len(workers) < self.workers and (again or any(self.left.values())):
                    if time.monotonic() > end:
                        break
                    workers.append(Worker(self.loaders_of, self.seed))
                    self._feed(workers[-1], again, end)
                busy = [w for w in workers if w.chunk]
                if not busy:
                    break
                for pipe in wait([w.pipe for w in busy], 0.2):
                    self._hear(next(w for w in busy if w.pipe is pipe))
                for worker in busy:
                    if worker.chunk and self._is_stuck(worker, again):
                        workers.remove(worker)
                told(sum(counts.total() for counts in self.counts.values()))
        finally:
            running = [w.chunk for w in workers if w.chunk] + list(again)
            for worker in workers:
                worker.end()
            self.save(running)

    def _feed(self, worker: Worker, again: deque, end: float) -> None:
        if time.monotonic() < end and (chunk := again.popleft() if again else self._next_chunk()):
            worker.give(*chunk)

    def _hear(self, worker: Worker) -> None:
        """Take a finding, or the end of a chunk."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return  # it died; see _is_stuck
        if message is not None:
            self.found(worker.chunk[0], *message)
            return
        self._settle(worker)
        worker.chunk = None
        self.save()

    def _settle(self, worker: Worker) -> None:
        name = worker.chunk[0]
        self.counts[name].update(dict(zip(CLASSES, worker.counts, strict=True)))
        self.seconds[name] += time.monotonic() - worker.begin

    def _is_stuck(self, worker: Worker, again: deque) -> bool:
        """Note a hang or a crash; the rest of the chunk is done again by another worker."""
        dead = not worker.process.is_alive()
        hangs = worker.at[1] and time.monotonic() - worker.at[1] > self.hang_s
        if not dead and not hangs:
            return False
        while worker.pipe.poll():
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                break
            if message is None:
                self._settle(worker)
                worker.chunk = None
                worker.end()
                return True
            self.found(worker.chunk[0], *message)
        name, numbers = worker.chunk
        worker.end()
        self._settle(worker)
        kind, k = CRASH if dead else HANG, int(worker.at[0])
        text = f"exit code {worker.process.exitcode}" if dead else f"no answer in {self.hang_s} s"
        self.counts[name][kind] += 1
        self.found(name, k, Verdict(kind, text, text))
        if k + 1 < numbers.stop:
            again.append((name, range(k + 1, numbers.stop)))
        worker.chunk = None
        return True

    # Results.

    def table(self) -> str:
        """A row per loader, and the sums."""
        head = ("loader", "inputs", *CLASSES, "inputs/s")
        rows = []
        for name, counts in self.counts.items():
            speed = counts.total() / self.seconds[name] if self.seconds[name] else 0
            rows.append((name, counts.total(), *(counts[c] for c in CLASSES), f"{speed:.0f}"))
        sums = [sum(row[at] for row in rows) for at in range(1, len(CLASSES) + 2)]
        speed = sums[0] / max(self.seconds.total(), 1e-9)
        rows.append(("all", *sums, f"{speed:.0f}"))
        widths = [max(len(f"{row[at]}") for row in (head, *rows)) for at in range(len(head))]
        return "\n".join(
            "  ".join(
                f"{cell!s:<{w}}" if not at else f"{cell!s:>{w}}"
                for at, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in (head, *rows)
        )

    @property
    def findings(self) -> int:
        """The number of inputs that are neither refused nor accepted and sound."""
        return sum(counts[kind] for counts in self.counts.values() for kind in FINDINGS)


# The command.


def warm(names, loaders=LOADERS) -> None:
    """Compile what the loaders need, so that no input waits for it, and look at the seeds."""
    with Room(loaders) as room:
        for name in names:
            for k in range(3):
                room.judge(input_of(0, name, k, loaders))


def run_one(seed: int, name: str, k: int) -> int:
    """Run one input again, and print what comes of it."""
    one = input_of(seed, name, k)
    with Room() as room, warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = room.judge(one)
    print(f"{name} {k}: {verdict.kind}: {verdict.place}\n{verdict.text}")
    if one.files is not None:
        print(f"seed {one.seed} of {len(seeds_of(LOADERS[name]))}, changed: {list(one.files)}")
    return int(verdict.kind in FINDINGS)


def run_here(seed: int, names, inputs: int) -> int:
    """Run the first inputs of some loaders in this process, and print the findings."""
    found = []
    for name in names:
        run_chunk(
            seed,
            name,
            range(inputs),
            [0, 0],
            [0] * len(CLASSES),
            lambda k, verdict, name=name: found.append(f"{name} {k}: {verdict.place}"),
        )
    print("\n".join(found))
    return int(bool(found))


def main() -> int:
    """Run the command, and return its exit code: 1 if there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=12_000, help="per loader")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--loaders", help=f"with commas between them; {', '.join(LOADERS)}")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--fresh", action="store_true", help="forget what was done before")
    parser.add_argument("--only", type=int, help="run this input of one loader again")
    parser.add_argument(
        "--coverage", action="store_true", help="tell the branches that 300 inputs reach"
    )
    parser.add_argument("--here", action="store_true", help="in this process, and keep nothing")
    args = parser.parse_args()
    names = args.loaders.split(",") if args.loaders else list(LOADERS)
    for name in names:
        if name not in LOADERS:
            parser.error(f"there is no loader {name!r}; there are {', '.join(LOADERS)}")
    if args.only is not None:
        return run_one(args.seed, names[0], args.only)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.coverage:
        few = ["--inputs", str(min(args.inputs, 300)), "--seed", str(args.seed)]
        print(reached([__file__, "--here", "--loaders", ",".join(names), *few], args.out))
        return 0
    if args.here:
        return run_here(args.seed, names, args.inputs)
    if args.fresh and args.out.exists():
        shutil.rmtree(args.out)
        args.out.mkdir(parents=True)
    few = max(args.inputs // ZOO_SHARE, 1)
    fuzz = Fuzz(args.seed, args.out, {n: few if n == "zoo" else args.inputs for n in names})
    fuzz.resume()
    warm(names)
    begin = time.monotonic()
    shown = sys.stderr.isatty()
    fuzz.run(args.seconds, lambda n: shown and print(f"\r{n:,} inputs", end="", file=sys.stderr))
    print(fuzz.table())
    print(f"seed {args.seed}, {time.monotonic() - begin:.0f} s, {os.cpu_count()} CPUs")
    for place, count in fuzz.places.most_common():
        print(f"{count:6} {place}")
    if fuzz.findings:
        print(f"{fuzz.findings} findings; reproducers are in {args.out}")
    return int(fuzz.findings > 0)


if __name__ == "__main__":
    raise SystemExit(main())
