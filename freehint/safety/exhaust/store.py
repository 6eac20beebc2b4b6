"""A search kept in a file, so that it goes on after the process has died."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from freehint.config import InputError, shown
from freehint.files import whole_file
from freehint.inputs.reading import reading
from freehint.safety.exhaust.late import NEXT
from freehint.safety.exhaust.search import FIRST_ROWS, Search
from freehint.safety.exhaust.together import APART, taken_together
from freehint.safety.guest import Case
from freehint.safety.trace import schedule_string
from freehint.version import __version__

ARRAYS = ("cells", "table", "parents", "steps", "edges", "count", "level", "following")
# Folders of freehint whose code says what a state is and what a step does.
RULES = ("engine", "mm", "policies", "safety")


def code_of_rules(package: Path = Path(__file__).parents[2]) -> str:
    """A hash of the sources that a search depends on, in 16 hexadecimal digits."""
    code = hashlib.sha256()
    for path in sorted(one for room in RULES for one in (package / room).rglob("*.py")):
        code.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return code.hexdigest()[:16]


def _name(case: Case, symmetric: bool, together: int) -> str:
    named = f"freehint {__version__} {schedule_string(case, ())}{'' if symmetric else ' whole'}"
    return f"{named} in pairs {together}" if together != APART else named


def keep_search(search: Search, path) -> None:
    """Write a search that has stopped within a level or between two.

    Parameters
    ----------
    search : Search
    path : path
        An ``.npz`` file; it is replaced in one step.
    """
    arrays = {name: getattr(search, name) for name in ARRAYS}
    arrays["following"] = search.following[: search.count[NEXT]]
    with whole_file(Path(path)) as temporary, temporary.open("wb") as file:
        name = np.array(_name(search.case, search.symmetric, search.together))
        np.savez(file, case=name, code=code_of_rules(), depth=search.depth, **arrays)


def kept_search(case: Case, path, symmetric: bool = True, reduced: bool = False) -> Search | None:
    """The search that a file keeps; None without a file.

    Raises
    ------
    InputError
        The file is damaged, or keeps another search or one of other code.
    """
    if path is None or not Path(path).exists():
        return None
    try:
        with (
            reading(path),
            Path(path).open("rb") as file,
            np.load(file, allow_pickle=False) as kept,
        ):
            name, depth = str(kept["case"]), int(kept["depth"])
            code = str(kept["code"]) if "code" in kept else "none"
            arrays = {one: kept[one] for one in ARRAYS}
    except (KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: this is no checkpoint of a search, or a damaged one") from error
    if name != _name(case, symmetric, taken_together(case) if reduced else APART):
        raise InputError(f"{path}: this is a checkpoint of {shown(name, 200)}, not of this search")
    if code != (now := code_of_rules()):
        raise InputError(
            f"{path}: this checkpoint was written by other code of freehint than this"
            f" ({shown(code, 16)}, not {now}), so its states may mean something else"
        )
    search = Search(case, set(arrays["cells"].tolist()), symmetric, reduced)
    for one, now in arrays.items():
        if now.dtype != getattr(search, one).dtype:
            raise InputError(f"{path}: {one} has type {now.dtype} in this checkpoint")
        setattr(search, one, np.ascontiguousarray(now))
    room = np.zeros((FIRST_ROWS, len(search.cells)), np.uint8)
    search.following = np.concatenate([search.following, room])
    search.depth = depth
    return search
