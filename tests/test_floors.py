"""The floors of the house: a module imports from its own floor or below, never in a circle."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from imports import imports_of, modules_of

PACKAGE = Path(__file__).parent.parent / "freehint"

# Lowest first: the folders of the package, and the modules that stand beside them.
FLOORS = [
    {"config", "units", "data", "version", "jit", "inputs"},
    {"mm", "files"},
    {"formats", "policies"},
    {"engine"},
    {"runs"},
    {"sweeps", "replay", "record"},
    {"studies", "safety"},
    {"figures", "warm"},
    {"widgets"},
    {"reports"},
    {"cli", "__main__"},
]
ROOF = len(FLOORS)  # freehint/__init__.py, which shows everything
# Inside the engine the same holds once more; guest and host do not know each other.
ENGINE = [
    {"world"},
    {"guest", "host"},
    {"worker", "moment", "user", "watchdog", "current", "watcher"}
    | {"rare", "turns", "pressure_turns"},
    {"loop", "monitor", "stroke_kernels"},
    {"driver"},
    {"strokes"},
    {"commands", "inflate"},
    {"engine"},
]


def floor_of(module: str, floors=FLOORS) -> int | None:
    """The floor of a module such as ``freehint.mm.list``; None if the table does not list it."""
    if module == "freehint":
        return ROOF
    room = module.split(".")[1]
    return next((floor for floor, rooms in enumerate(floors) if room in rooms), None)


def engine_floor_of(module: str) -> int | None:
    """The floor inside the engine of a module below ``freehint.engine``."""
    room = module.removeprefix("freehint.engine").lstrip(".").split(".")[0]
    if not room:
        return len(ENGINE)
    return next((floor for floor, rooms in enumerate(ENGINE) if room in rooms), None)


def complaints(package: Path) -> list[str]:
    """One sentence for each module or import that breaks the plan of the house."""
    modules = modules_of(package)
    graph = {module: imports_of(module, modules) for module in modules}
    engine = {
        module: imported & {m for m in graph if m.startswith("freehint.engine")}
        for module, imported in graph.items()
        if module.startswith("freehint.engine")
    }
    found = upwards(graph, floor_of) + upwards(engine, engine_floor_of)
    found += [
        f"{module} and {imported}: guest and host do not know each other"
        for module in engine
        for imported in sorted(engine[module])
        if {room_of(module), room_of(imported)} == {"guest", "host"}
    ]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("imports run in a circle: " + " <- ".join(error.args[1]))
    return found


def room_of(module: str) -> str:
    """The folder inside the engine of a module below it."""
    return [*module.split("."), "", ""][2]


def upwards(graph: dict[str, set[str]], floor_of) -> list[str]:
    """One sentence for each module on no floor, and for each import of a higher floor."""
    floors = {module: floor_of(module) for module in graph}
    found = [
        f"{module} is on no floor: list it in tests/test_floors.py"
        for module, floor in floors.items()
        if floor is None
    ]
    return found + [
        f"{module} (floor {floors[module]}) imports {imported} (floor {floors[imported]})"
        for module in graph
        for imported in sorted(graph[module])
        if None not in (floors[module], floors[imported]) and floors[imported] > floors[module]
    ]


def sizes(package: Path) -> dict:
    """Modules beside the folders, folders, files of each folder, lines of each file."""
    beside = [path.name for path in package.glob("*.py") if path.name != "__main__.py"]
    folders = [path for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    files = {
        str(path.relative_to(package)): len(list(path.glob("*.py")))
        for path in package.rglob("*")
        if path.is_dir() and any(path.glob("*.py"))
    }
    lines = {
        str(path.relative_to(package)): path.read_text().count("\n")
        for path in package.rglob("*.py")
    }
    return {"beside": beside, "folders": folders, "files": files, "lines": lines}


def test_freehint_keeps_to_its_floors(capsys):
    found = complaints(PACKAGE)
    circles = [c for c in found if c.startswith("imports run in a circle")]
    with capsys.disabled():
        print(f"\nimports upwards {len(found) - len(circles)}, circles {len(circles)}", end="")
    assert not found, "\n".join(found)


def test_rooms_stay_small():
    """At most 8 modules beside the folders; 12 to 15 folders; 18 files each; 8 files over 300."""
    house = sizes(PACKAGE)
    assert len(house["beside"]) <= 8, house["beside"]
    assert 12 <= len(house["folders"]) <= 15, house["folders"]
    assert max(house["files"].values()) <= 18, house["files"]
    long = {name: n for name, n in house["lines"].items() if n > 300}
    assert len(long) <= 8, long


def test_the_tests_stand_in_the_same_folders():
    """Each folder with tests has the name of one of the package, but for two."""
    folders = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")}
    assert folders - {path.name for path in sizes(PACKAGE)["folders"]} == {
        "notebooks",
        "benchmarks",
    }


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
        ("from .. import engine", "freehint.mm.list (floor 1) imports freehint.engine"),
        (
            "from ..engine import engine",
            "freehint.mm.list (floor 1) imports freehint.engine.engine",
        ),
        (
            "import freehint.engine.engine as e",
            "freehint.mm.list (floor 1) imports freehint.engine.engine",
        ),
        (
            "def f():\n    import freehint.engine.engine",
            "(floor 1) imports freehint.engine.engine (floor 3)",
        ),
        ("from freehint import simulate", "(floor 1) imports freehint (floor 11)"),
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


def test_a_planted_import_inside_the_engine_is_found(tmp_path):
    upward = "freehint.engine.worker (floor 2) imports freehint.engine.engine (floor 7)"
    package = plant(tmp_path, {"engine/worker.py": "from freehint.engine import engine"})
    assert upward in complaints(package)
    sideways = {"engine/guest/vcpu.py": "import freehint.engine.host.device"}
    sideways["engine/host/device.py"] = ""
    package = plant(tmp_path, sideways)
    assert any(c.endswith("guest and host do not know each other") for c in complaints(package))


def test_a_sound_house_has_no_complaints(tmp_path):
    assert complaints(plant(tmp_path, {})) == []


def plant(folder: Path, planted: dict[str, str]) -> Path:
    """A small package that is sound, but for the files planted in it."""
    sound = {
        "__init__.py": "from freehint.engine.engine import run",
        "engine/__init__.py": "",
        "engine/engine.py": "import numpy\nfrom freehint.mm.buddy import expand",
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
