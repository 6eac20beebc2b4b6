"""The oracle: a model of the protocol core in Promela, which spin searches through.

``promela/core.pml`` was written by hand from what QEMU does.  It shares no code with the engine, so
that the engine's explorer can be held against it, cell by cell.  ``make spin`` searches all cells,
writes out/spin.csv, and compares the verdicts with ``promela/verdicts.csv``.  docs/safety_oracle.md
describes the model.
"""

import csv
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from itertools import product
from pathlib import Path

from tqdm.auto import tqdm

from freehint.config import InputError
from freehint.files import whole_file
from freehint.inputs.reading import read_bytes, text_of
from freehint.record.tools import require_tools, run
from freehint.safety.verdicts import EXHAUSTED, UNFINISHED, VIOLATED

MODEL = Path(__file__).parent / "promela" / "core.pml"
VERDICTS = Path(__file__).parent / "promela" / "verdicts.csv"
GENERATIONS = ("G1", "G2", "G3")
# Pages of a block, blocks, pages of a chunk.  The second has a chunk that is smaller than a block
# and yet holds two pages; two blocks of four pages are too many states.
LAYOUTS = ((2, 2, 1), (4, 1, 2), (2, 2, 4))
LOST, DESTROYED = "lost", "destroyed"
# Bugs that the model can have, as in freehint/safety/bugs.py, and the model's numbers.
BUGS = {"clear_without_mutex": 1, "repeated_id": 2}
ROUNDS, RING_SIZE = 2, 2
MEMORY_MB = 2048
WORKERS = 2


@dataclass(frozen=True, order=True)
class Cell:
    """One question to the oracle.

    Attributes
    ----------
    generation : "G1", "G2", "G3"
        How the dirty log is cleared; see :mod:`freehint.engine.world.dirty`.
    initially_set : bool
        Whether the log begins with every page dirty.
    block_pages, blocks, chunk_pages : int
        Number of pages of a block; number of blocks; number of pages of a chunk of the dirty log.
    acknowledged : bool
        Whether the guest takes a block back only after the host has used its hint.
    discarding : bool
        Whether the host discards the memory behind each hint.
    violation : "lost", "destroyed"
        What is looked for: a write that is missing at the destination after the switch-over; or a
        page that the guest wrote after it took it back, and that a late discard hits.
    bug : "none", "clear_without_mutex", "repeated_id"
        A bug that is put back.
    """

    generation: str
    initially_set: bool
    block_pages: int
    blocks: int
    chunk_pages: int
    acknowledged: bool
    discarding: bool
    violation: str
    bug: str = "none"

    def macros(self) -> list[str]:
        """The arguments of spin that set the model's macros."""
        values = {
            "GENERATION": 1 + GENERATIONS.index(self.generation),
            "INITIALLY_SET": int(self.initially_set),
            "BLOCK": self.block_pages,
            "BLOCKS": self.blocks,
            "CHUNK": self.chunk_pages,
            "ACKNOWLEDGED": int(self.acknowledged),
            "DISCARDING": int(self.discarding),
            "PROPERTY": self.violation.upper(),
            "ROUNDS": ROUNDS,
            "RING": RING_SIZE,
            "KNOWN_BUG": BUGS.get(self.bug, 0),
        }
        return [f"-D{name}={value}" for name, value in values.items()]


@dataclass(frozen=True)
class Verdict:
    """The answer of the oracle.

    Attributes
    ----------
    verdict : "violated", "exhausted", "not exhausted"
        Whether the violation was found; not found in any state; or not found before the memory
        was used up.
    states : int
        Number of different states that were stored.
    depth : int
        Number of steps to the deepest state.
    unreached : int
        Number of the model's statements that no step executed.
    seconds : float
        Time of the search.
    trail : tuple of str
        The steps of a shortest way to the violation, in words.
    """

    verdict: str
    states: int
    depth: int
    unreached: int
    seconds: float
    trail: tuple[str, ...] = ()


def cells() -> list[Cell]:
    """All cells; only a host that discards can destroy a page."""
    crossed = product(GENERATIONS, (False, True), LAYOUTS, (False, True), (False, True))
    return [
        Cell(generation, initially_set, *layout, acknowledged, discarding, violation)
        for generation, initially_set, layout, acknowledged, discarding in crossed
        for violation in ((LOST, DESTROYED) if discarding else (LOST,))
    ]


def cells_with_bugs() -> list[Cell]:
    """Cells with a bug; without it each of them is exhausted."""
    late, held = (False, False, LOST), (True, False, LOST)
    return [
        Cell("G1", True, *LAYOUTS[0], *late, "repeated_id"),
        Cell("G1", True, *LAYOUTS[1], *late, "repeated_id"),
        Cell("G2", True, *LAYOUTS[0], *late, "repeated_id"),
        Cell("G1", True, *LAYOUTS[2], *held, "clear_without_mutex"),
        Cell("G3", True, *LAYOUTS[1], *held, "clear_without_mutex"),
        Cell("G3", True, *LAYOUTS[2], *held, "clear_without_mutex"),
    ]


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise InputError(f"the output of spin's search has no {pattern!r}: {text[:200]!r}")
    return match[1]


def parse_search(text: str) -> Verdict:
    """The verdict that the output of a search (``./pan``) tells, without the trail.

    Raises
    ------
    InputError
        The output is not understood, or the search failed for a reason other than a violated
        assertion, for instance because the model has come to a deadlock.
    """
    errors = int(_found(r"errors: (\d+)$", text))
    violated = re.search(r"^pan:\d+: assertion violated ", text, re.MULTILINE) is not None
    if violated != bool(errors):
        raise InputError(f"spin's search failed: {_found(r'^(pan:.*)$', text)}")
    completed = "Warning: Search not completed" not in text
    verdict = VIOLATED if violated else EXHAUSTED if completed else UNFINISHED
    unreached = sum(map(int, re.findall(r"^\s+\((\d+) of \d+ states\)$", text, re.MULTILINE)))
    return Verdict(
        verdict=verdict,
        states=int(float(_found(r"^\s*([\d.e+]+) states, stored$", text))),
        depth=int(_found(r"depth reached (\d+), errors", text)),
        unreached=unreached - text.count('"-end-"'),  # actors that have no end
        seconds=float(_found(r"^pan: elapsed time ([\d.e+-]+) seconds$", text)),
    )


def parse_trail(text: str) -> tuple[str, ...]:
    """The steps of a trail, in words, from the output of ``spin -t``.

    Raises
    ------
    InputError
        The output has not one line for each step.
    """
    told, _, rest = text.partition("\nspin:")
    steps = tuple(line.strip() for line in told.splitlines() if line.strip())
    count = int(_found(r"trail ends after (\d+) steps$", rest))
    if len(steps) != count:
        raise InputError(f"spin's trail has {count} steps, but {len(steps)} are told")
    return steps


def search(cell: Cell, memory_MB: int = MEMORY_MB) -> Verdict:
    """Search all states of a cell, breadth first, so that the trail is a shortest one.

    Raises
    ------
    InputError
        The output of spin is not understood.
    ChildProcessError
        spin or gcc failed.
    """
    with tempfile.TemporaryDirectory(prefix="freehint-spin-") as folder:
        model = Path(folder) / MODEL.name  # without the blanks that the installed path may have
        model.write_text(MODEL.read_text())
        run("spin", "-a", *cell.macros(), model.name, cwd=folder)
        how = ("-w", "-O2", "-DBFS", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={memory_MB}")
        run("gcc", *how, "-o", "pan", "pan.c", cwd=folder)
        verdict = parse_search(_output("./pan", cwd=folder))
        if verdict.verdict != VIOLATED:
            return verdict
        told = _output(
            "spin", "-k", f"{model.name}.trail", "-t", *cell.macros(), model.name, cwd=folder
        )
        return Verdict(*astuple(verdict)[:-1], parse_trail(told))


def _output(*command, cwd) -> str:
    """What a program printed; its exit code says no more than that."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True).stdout


def write_table(found: dict[Cell, Verdict], path: Path) -> None:
    """Write one row for each cell: its fields, then those of its verdict, as CSV.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    columns = [field.name for kind in (Cell, Verdict) for field in fields(kind)]
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for cell, verdict in found.items():
            *numbers, trail = astuple(verdict)
            writer.writerow([*astuple(cell), *numbers, "; ".join(trail)])


def known_verdicts(path: Path = VERDICTS) -> dict[Cell, str]:
    """The verdicts that ``make spin`` must find again.

    Raises
    ------
    InputError
        The file cannot be read, or a row of it is no cell or no verdict.
    """
    known = {}
    by_text = {tuple(map(str, astuple(cell))): cell for cell in cells() + cells_with_bugs()}
    for row in csv.DictReader(text_of(read_bytes(path), path).splitlines()):
        *key, verdict = row.values()
        if tuple(key) not in by_text or verdict not in (VIOLATED, EXHAUSTED):
            raise InputError(f"{path}: {','.join(map(str, row.values()))}: no cell with a verdict")
        known[by_text[tuple(key)]] = verdict
    return known


def differences(found: dict[Cell, Verdict], known: dict[Cell, str]) -> list[str]:
    """One sentence for each cell whose verdict is not the known one."""
    return [
        f"{cell}: {verdict.verdict}, but was {known.get(cell, 'unknown')}"
        for cell, verdict in found.items()
        if verdict.verdict != known.get(cell)
    ]


def main(arguments: list[str]) -> int:
    """Search all cells, write the table to the path that is the first argument, and compare.

    Returns
    -------
    int
        The exit code: 1 if a verdict differs from the known one, else 0.
    """
    path = Path(arguments[0])
    require_tools(("spin", "gcc"), "The oracle")
    asked = cells() + cells_with_bugs()
    with ThreadPoolExecutor(WORKERS) as pool:
        found = dict(zip(asked, tqdm(pool.map(search, asked), total=len(asked)), strict=True))
    write_table(found, path)
    other = differences(found, known_verdicts())
    states = sum(verdict.states for verdict in found.values())
    counts = [sum(v.verdict == what for v in found.values()) for what in (VIOLATED, EXHAUSTED)]
    print(f"{path}: {len(found)} cells, {counts[0]} violated, {counts[1]} exhausted", end="; ")
    print(f"{states:,} states; {len(other)} verdicts differ from {VERDICTS.name}")
    print(*other, sep="\n", end="\n" if other else "")
    return 1 if other else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] or ["out/spin.csv"]))
    except (InputError, ChildProcessError) as error:
        sys.exit(str(error))
