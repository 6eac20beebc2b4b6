"""Bugs planted one by one, each into a copy of the house: does a test find it?

``make mutants`` runs the whole list (mutants.toml).  An entry names the definition that its text
stands in, not a file, so a definition may move.  Kernels run as plain Python, which takes seconds
a bug; ``--compiled`` compiles them as ``make test`` does, which takes about a minute a bug.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").exists())
PACKAGE, TESTS = "freehint", "tests"
TWIN = "reference"  # The plain twin is what kernels are held against; no bug is planted there.
LONGEST_S = 900
# What the suite's own run without JIT draws; and numpy tells of wrapped sums, where Numba wraps.
PLAIN = {"NUMBA_DISABLE_JIT": "1", "FREEHINT_EXAMPLES": "60"}
QUIET = ("-W", "ignore:overflow encountered:RuntimeWarning")


class MutantError(Exception):
    """An entry of the list cannot be used; one sentence says why."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Attributes
    ----------
    name, breaks : str
        What it is called, and what it breaks, in a sentence.
    definition : str
        Function, class, ``Class.method`` or name of a module that holds the text.
    old, new : str
        The text, which must stand there exactly once, and the text in its place.
    tests : list of str
        Names of test functions, perhaps with ``[parameters]``, or of test files without ``.py``.
    """

    name: str
    breaks: str
    definition: str
    old: str
    new: str
    tests: list


def read_list(root: Path = ROOT) -> list[Mutant]:
    """All entries, in the list's order."""
    path = next((root / TESTS).rglob("mutants.toml"))
    return [Mutant(**entry) for entry in tomllib.loads(path.read_text())["mutant"]]


# Where a bug is planted.


def _named(node) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _definitions(body: list, prefix: str = ""):
    """(qualified name, first line, last line) of what a body defines, classes' own included."""
    for node in body:
        for name in _named(node):
            yield prefix + name, node.lineno, node.end_lineno
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node.body, f"{prefix}{node.name}.")


@cache
def _where(root: Path) -> dict:
    """Qualified name -> (file, first line, last line) of each definition of the package."""
    found = defaultdict(list)
    for path in sorted((root / PACKAGE).rglob("*.py")):
        if TWIN not in path.parts:
            for name, first, last in _definitions(ast.parse(path.read_text()).body):
                found[name].append((path, first, last))
    return found


def planted(mutant: Mutant, root: Path = ROOT) -> tuple[Path, str]:
    """The file that a bug is planted in, relative to the root, and its new text.

    Raises
    ------
    MutantError
        The text does not stand in the definition exactly once.
    """
    hits = []
    for path, first, last in _where(root)[mutant.definition]:
        lines = path.read_text().splitlines(keepends=True)
        before, own = "".join(lines[: first - 1]), "".join(lines[first - 1 : last])
        changed = before + own.replace(mutant.old, mutant.new) + "".join(lines[last:])
        hits += [(path.relative_to(root), changed)] * own.count(mutant.old)
    if len(hits) != 1:
        raise MutantError(
            f"{mutant.name}: {mutant.old!r} must stand once in a definition {mutant.definition!r},"
            f" and stands there {len(hits)} times"
        )
    ast.parse(hits[0][1])
    return hits[0]


# Which tests are run.


@cache
def _tests(root: Path) -> dict:
    """Stem of a test file, or name of a test function -> what pytest calls it, each."""
    found = defaultdict(list)
    for path in sorted((root / TESTS).rglob("test_*.py")):
        called = str(path.relative_to(root))
        found[path.stem].append(called)
        for name, *_ in _definitions(ast.parse(path.read_text()).body):
            found[name].append(f"{called}::{name}")
    return found


def node_ids(mutant: Mutant, root: Path = ROOT) -> list[str]:
    """What pytest calls the entry's tests, wherever their files lie.

    Raises
    ------
    MutantError
        A name belongs to no test, or to several.
    """
    nodes = []
    for test in mutant.tests:
        name, bracket, parameters = test.partition("[")
        found = _tests(root)[name]
        if len(found) != 1:
            raise MutantError(f"{mutant.name}: {name!r} must name one test, and names {len(found)}")
        nodes.append(found[0] + bracket + parameters)
    return nodes


# Planting and looking.


def copy_house(root: Path, into: Path) -> Path:
    """A copy that may be edited; folders beside the package and the tests are links."""
    into.mkdir()
    for path in root.iterdir():
        if path.name in (PACKAGE, TESTS):
            skipped = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(path, into / path.name, ignore=skipped)
        elif path.is_file():
            shutil.copy2(path, into)
        elif not path.name.startswith(".") and path.name != "out":
            (into / path.name).symlink_to(path)
    return into


def run_tests(house: Path, nodes: list, kernels: Path, compiled: bool, *options):
    """Run tests in a copy of the house; what pytest left behind."""
    own = {"PYTHONPATH": str(house), "FREEHINT_CACHE_DIR": str(kernels)}
    own |= {"PYTHONDONTWRITEBYTECODE": "1"} | ({} if compiled else PLAIN)
    options = (*options, *(() if compiled else QUIET))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *nodes]
    return subprocess.run(
        command, cwd=house, env=os.environ | own, capture_output=True, text=True, timeout=LONGEST_S
    )


def failing(run) -> str:
    """The first test that pytest names as failed, without its file's folders; empty if none."""
    named = re.search(r"^(?:FAILED|ERROR) (?:\S*/)?([^\s/]+::.+?)(?: - |$)", run.stdout, re.M)
    return named[1] if named and run.returncode == 1 else ""


@dataclass(frozen=True)
class Result:
    """Which test found a bug, or ``why`` none did."""

    mutant: Mutant
    found_by: str
    why: str
    seconds: float

    def line(self) -> str:
        """For people."""
        said = f"found by {self.found_by}" if self.found_by else f"NOT FOUND: {self.why}"
        return f"{self.mutant.name:24} {self.seconds:5.1f} s  {said}"


def look(mutant: Mutant, root: Path, folder: Path, compiled: bool) -> Result:
    """Plant one bug in a copy of its own, and run its tests up to the first that fails."""
    begin = time.monotonic()
    path, text = planted(mutant, root)
    house = copy_house(root, folder / mutant.name)
    (house / path).write_text(text)
    try:
        run = run_tests(house, node_ids(mutant, root), folder / "kernels", compiled, "-x")
        found_by = failing(run)
        why = run.stdout.strip().rpartition("\n")[2] or run.stderr.strip().rpartition("\n")[2]
    except subprocess.TimeoutExpired:
        found_by, why = "", f"its tests had not ended after {LONGEST_S} s"
    shutil.rmtree(house)
    return Result(mutant, found_by, why, time.monotonic() - begin)


def require_sound(mutants: list, root: Path, folder: Path, compiled: bool) -> None:
    """All named tests must pass where nothing is planted: one that fails anyhow finds nothing.

    Raises
    ------
    MutantError
        Naming the first that fails.
    """
    nodes = sorted({node for mutant in mutants for node in node_ids(mutant, root)})
    run = run_tests(copy_house(root, folder / "sound"), nodes, folder / "kernels", compiled)
    if run.returncode:
        said = failing(run) or (run.stdout + run.stderr).strip()
        raise MutantError(f"with no bug planted the tests do not pass: {said}")


def _write(results: list, out: Path) -> None:
    rows = ["| bug | what it breaks | found by |", "|---|---|---|"]
    for one in results:
        rows.append(f"| {one.mutant.name} | {one.mutant.breaks} | {one.found_by or 'NOT FOUND'} |")
    out.write_text("\n".join(rows) + "\n")


def check(mutants: list, root: Path, jobs: int, compiled: bool) -> list[Result]:
    """Run the tests without a bug, then with each; prints a line a bug."""
    for mutant in mutants:
        planted(mutant, root), node_ids(mutant, root)
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, ThreadPoolExecutor(jobs) as pool:
        folder = Path(name)
        require_sound(mutants, root, folder, compiled)
        results = []
        for one in pool.map(lambda mutant: look(mutant, root, folder, compiled), mutants):
            print(one.line(), flush=True)
            results.append(one)
    return results


def _arguments(arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description="Does a test find each bug?")
    parser.add_argument("--only", metavar="NAME", help="plant this one alone")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=1, help="bugs at a time")
    parser.add_argument("--compiled", action="store_true", help="compile kernels for each bug")
    parser.add_argument("--out", type=Path, help="write the table as Markdown")
    return parser.parse_args(arguments)


def main(arguments=None, root: Path = ROOT) -> int:
    """0: every bug was found; 1: one was not; 2: the list cannot be used."""
    args = _arguments(arguments)
    mutants = [one for one in read_list(root) if args.only in (None, one.name)]
    try:
        if not mutants:
            raise MutantError(f"--only {args.only}: the list has no such bug")
        results = check(mutants, root, args.jobs, args.compiled)
    except MutantError as error:
        print(error, file=sys.stderr)
        return 2
    if args.out:
        _write(results, args.out)
    found = sum(bool(one.found_by) for one in results)
    print(f"found {found} of {len(results)}")
    return 0 if found == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
