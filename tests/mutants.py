"""Bugs planted one by one, each into a copy of the house: does a test find it?

``make mutants`` runs the whole list, mutants.toml.  An entry names the definition that its text
stands in, not a file, so a definition may move.  The named tests must pass before anything is
planted: one that fails anyhow finds nothing.  Kernels run as plain Python, which takes seconds a
bug, but where an entry says ``compiled``; ``--compiled`` compiles them for all, as ``make test``
does.
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
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
PACKAGE, TESTS = "freehint", "tests"
TWIN = "reference"  # the plain twin is what kernels are held against: no bug is planted there
LONGEST_S = 600
PLAIN = {"NUMBA_DISABLE_JIT": "1"}
# Numpy tells of sums that wrap around, compiled kernels do not.
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
        Names of test functions, perhaps with ``[parameters]``.
    compiled : bool
        Compile kernels for the tests: as plain Python they would take longer, or pass.
    """

    name: str
    breaks: str
    definition: str
    old: str
    new: str
    tests: list
    compiled: bool = False


def read_list(path: Path = LIST) -> list[Mutant]:
    """All entries, in the list's order."""
    return [Mutant(**entry) for entry in tomllib.loads(path.read_text())["mutant"]]


# Where a bug is planted, and which tests are run.


def _definitions(body: list, prefix: str = ""):
    """(qualified name, first line, last line) of what a body defines, classes' own included."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name, node.lineno, node.end_lineno
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node.body, f"{prefix}{node.name}.")
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield prefix + node.targets[0].id, node.lineno, node.end_lineno


@cache
def _where(folder: str, files: str) -> dict:
    """Qualified name -> (file, first line, last line) of each definition below a folder."""
    found = defaultdict(list)
    for path in sorted((ROOT / folder).rglob(files)):
        if TWIN not in path.parts:
            for name, first, last in _definitions(ast.parse(path.read_text()).body):
                found[name].append((path, first, last))
    return found


def planted(mutant: Mutant) -> tuple[Path, str]:
    """The file that a bug is planted in, relative to the house, and its new text.

    Raises
    ------
    MutantError
        The text does not stand in the definition exactly once.
    """
    hits = []
    for path, first, last in _where(PACKAGE, "*.py")[mutant.definition]:
        lines = path.read_text().splitlines(keepends=True)
        before, own = "".join(lines[: first - 1]), "".join(lines[first - 1 : last])
        changed = before + own.replace(mutant.old, mutant.new) + "".join(lines[last:])
        hits += [(path.relative_to(ROOT), changed)] * own.count(mutant.old)
    if len(hits) != 1:
        raise MutantError(
            f"{mutant.name}: {mutant.old!r} must stand once in a definition {mutant.definition!r},"
            f" and stands there {len(hits)} times"
        )
    ast.parse(hits[0][1])
    return hits[0]


def node_ids(mutant: Mutant) -> list[str]:
    """What pytest calls the entry's tests.

    Raises
    ------
    MutantError
        A name belongs to no test, or to several.
    """
    nodes = []
    for test in mutant.tests:
        name, bracket, parameters = test.partition("[")
        files = [path for path, *_ in _where(TESTS, "test_*.py")[name]]
        if len(files) != 1:
            raise MutantError(f"{mutant.name}: {name!r} must name one test, and names {len(files)}")
        nodes.append(f"{files[0].relative_to(ROOT)}::{name}{bracket}{parameters}")
    return nodes


# Planting and looking.


def copy_house(into: Path) -> Path:
    """A copy that may be edited; folders beside the package and the tests are links."""
    into.mkdir()
    for path in ROOT.iterdir():
        if path.name in (PACKAGE, TESTS):
            skipped = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(path, into / path.name, ignore=skipped)
        elif path.is_file():
            shutil.copy2(path, into)
        elif not path.name.startswith(".") and path.name != "out":
            (into / path.name).symlink_to(path)
    return into


def run_tests(house: Path, nodes: list, kernels: Path, compiled: bool):
    """Run tests in a copy of the house up to the first that fails; what pytest left behind."""
    own = {"PYTHONPATH": str(house), "FREEHINT_CACHE_DIR": str(kernels)}
    own |= {"PYTHONDONTWRITEBYTECODE": "1"} | ({} if compiled else PLAIN)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *(() if compiled else QUIET), *nodes],
        cwd=house,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )


def failing(run) -> str:
    """The test that pytest names as failed, without its file's folders; empty if none."""
    named = re.search(r"^(?:FAILED|ERROR) (?:\S*/)?([^\s/]+::.+?)(?: - |$)", run.stdout, re.M)
    return named[1] if named and run.returncode == 1 else ""


def last_line(run) -> str:
    """What pytest said last."""
    return (run.stdout.strip() or run.stderr.strip()).rpartition("\n")[2]


def require_sound(mutants: list, house: Path, kernels: Path) -> None:
    """All named tests must pass where nothing is planted.

    Raises
    ------
    MutantError
        Naming one that fails.
    """
    for compiled in {mutant.compiled for mutant in mutants}:
        own = [mutant for mutant in mutants if mutant.compiled == compiled]
        nodes = sorted({node for mutant in own for node in node_ids(mutant)})
        run = run_tests(house, nodes, kernels, compiled)
        if run.returncode:
            said = failing(run) or last_line(run)
            raise MutantError(f"with no bug planted the tests do not pass: {said}")


def look(mutant: Mutant, house: Path, kernels: Path) -> tuple[str, str]:
    """Plant one bug in the copy, run its tests and take it out: (test that found it, why none)."""
    path, text = planted(mutant)
    (house / path).write_text(text)
    try:
        run = run_tests(house, node_ids(mutant), kernels, mutant.compiled)
        return failing(run), last_line(run)
    except subprocess.TimeoutExpired:
        return "", f"its tests had not ended after {LONGEST_S} s"
    finally:
        shutil.copy2(ROOT / path, house / path)


def check(mutants: list) -> int:
    """Run the tests without a bug, then with each; prints a row a bug; how many were found.

    Raises
    ------
    MutantError
        The list cannot be used.
    """
    for mutant in mutants:
        planted(mutant), node_ids(mutant)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        house, kernels = copy_house(Path(folder) / "house"), Path(folder) / "kernels"
        require_sound(mutants, house, kernels)
        found = 0
        print(f"{'bug':24} {'s':>5}  found by")
        for mutant in mutants:
            begin = time.monotonic()
            test, why = look(mutant, house, kernels)
            found += bool(test)
            said = test or f"NOT FOUND ({why}): {mutant.breaks}"
            print(f"{mutant.name:24} {time.monotonic() - begin:5.1f}  {said}", flush=True)
    return found


def main() -> str | int:
    """0 if every bug was found, else 1 or a sentence."""
    parser = argparse.ArgumentParser(prog="mutants", description="Does a test find each bug?")
    parser.add_argument("names", nargs="*", help="plant these alone")
    parser.add_argument("--compiled", action="store_true", help="compile kernels for all")
    args = parser.parse_args()
    mutants = [one for one in read_list() if one.name in args.names or not args.names]
    if args.compiled:
        mutants = [Mutant(**vars(one) | {"compiled": True}) for one in mutants]
    try:
        found = check(mutants)
    except MutantError as error:
        return str(error)
    print(f"found {found} of {len(mutants)}")
    return int(found < len(mutants))


if __name__ == "__main__":
    sys.exit(main())
