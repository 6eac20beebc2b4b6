"""The floors of the house: a module imports from its own floor or below, never in a circle."""

import ast
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "freehint"

# Lowest first; ``x.*`` is the package x with everything in it.
FLOORS = [
    [
        *("jit", "linking", "pinned", "kernel_cache", "units", "config", "data", "files"),
        *("version", "calibration", "palette", "payload"),
    ],
    ["mm.*", "reference.*", "ring", "dirty", "limits"],
    ["policy", "walk", "paging", "world"],
    ["policies.*", "guest.*", "host.*", "formats.*"],
    [
        *("worker", "around_verbs", "coverage", "moment", "loop", "user", "strokes", "engine"),
        *("migrate", "progress", "provenance", "frames", "safety.*"),
    ],
    [
        *("simulate", "overcommit", "run", "findings", "story", "blocks", "design", "sweep"),
        *("extras", "factors", "sampling", "workers", "processes", "cluster", "run_parts"),
        *("sensitivity", "objective", "optimise", "run_tables", "summary"),
        *("factorial", "properties", "recorder", "trajectory", "thread_run"),
        *("recorded_guest", "compile_benchmark", "scenario_file", "rebuild", "reproduce"),
        *("validate", "replay", "predict", "predict_migration", "random_migrations"),
        "growth",
    ],
    [
        *("figures.*", "answers", "migration_figures", "overcommit_figures", "compile_figures"),
        "speed_figures",
        *("widgets.*", "cli", "sweep_file", "parameters", "report", "gallery", "pdf"),
        *("run_report", "run_page", "run_figures", "panels", "chapters.*"),
        *("batch", "batch_plan", "batch_folder", "batch_run", "batch_worker", "warm"),
    ],
]
ROOF = len(FLOORS)  # freehint/__init__.py, which shows everything


def floor_of(module: str) -> int | None:
    """The floor of a module such as ``freehint.mm.list``; None if the table does not list it."""
    if "." not in module:
        return ROOF
    name = module.split(".", 1)[1]
    for floor, patterns in enumerate(FLOORS):
        if any(fnmatchcase(name, p) or name == p.removesuffix(".*") for p in patterns):
            return floor
    return None


def modules_of(package: Path) -> dict[str, Path]:
    """Every module of a package by its dotted name; a package is its __init__.py."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports_of(module: str, modules: dict[str, Path]) -> set[str]:
    """The modules of ``modules`` that ``module`` imports, wherever in its text."""
    path = modules[module]
    parent = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = parent.split(".")[: len(parent.split(".")) - node.level + 1]
            source = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                imported.add(inner if inner in modules else source)
    return imported & modules.keys()


def complaints(package: Path) -> list[str]:
    """One sentence for each module or import that breaks the plan of the house."""
    modules = modules_of(package)
    graph = {module: imports_of(module, modules) for module in modules}
    floors = {module: floor_of(module) for module in modules}
    found = [
        f"{module} is on no floor: list it in FLOORS of tests/test_floors.py"
        for module, floor in floors.items()
        if floor is None
    ]
    found += [
        f"{module} (floor {floors[module]}) imports {imported} (floor {floors[imported]})"
        for module in graph
        for imported in sorted(graph[module])
        if None not in (floors[module], floors[imported]) and floors[imported] > floors[module]
    ]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("imports run in a circle: " + " <- ".join(error.args[1]))
    return found


def test_freehint_keeps_to_its_floors():
    assert not complaints(PACKAGE), "\n".join(complaints(PACKAGE))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "from freehint.engine.engine import run",
            "freehint.mm.list (floor 1) imports freehint.engine.engine",
        ),
        (
            "from freehint.engine import engine",
            "freehint.mm.list (floor 1) imports freehint.engine.engine",
        ),
        ("from .. import engine", "freehint.mm.list (floor 1) imports freehint.engine.engine"),
        ("from ..engine import run", "freehint.mm.list (floor 1) imports freehint.engine.engine"),
        (
            "import freehint.engine.engine as e",
            "freehint.mm.list (floor 1) imports freehint.engine.engine",
        ),
        (
            "def f():\n    import freehint.engine.engine",
            "(floor 1) imports freehint.engine.engine (floor 4)",
        ),
        ("from freehint import simulate", "(floor 1) imports freehint (floor 7)"),
        ("from .buddy import expand", "imports run in a circle: freehint.mm.buddy <- freehint.mm"),
        ("from freehint.mm import buddy", "imports run in a circle"),
        (
            "import freehint.mm.list",
            "imports run in a circle: freehint.mm.list <- freehint.mm.list",
        ),
    ],
)
def test_a_planted_import_is_found(tmp_path, text, complaint):
    package = plant(tmp_path, {"mm/list.py": text})
    found = complaints(package)
    assert any(complaint in sentence for sentence in found), found


def test_a_planted_module_on_no_floor_is_found(tmp_path):
    package = plant(tmp_path, {"attic.py": ""})
    assert [c for c in complaints(package) if c.startswith("freehint.attic is on no floor")]


def test_a_sound_house_has_no_complaints(tmp_path):
    assert complaints(plant(tmp_path, {})) == []


def plant(folder: Path, planted: dict[str, str]) -> Path:
    """A small sound package, but for the files planted in it."""
    sound = {
        "__init__.py": "from freehint.engine.engine import run",
        "engine.py": "import numpy\nfrom freehint.mm.buddy import expand",
        "mm/__init__.py": "",
        "mm/buddy.py": "from .list import list_add\nfrom ..units import PAGE_SIZE",
        "mm/list.py": "",
        "units.py": "from os import path",
    }
    for name, text in (sound | planted).items():
        path = folder / "freehint" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "freehint"
