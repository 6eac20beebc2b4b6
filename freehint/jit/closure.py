"""Which source files shape compiled kernels: all that the modules with kernels import.

The imports are read from the text, so nothing is imported to find them, and an edit of a file that
no kernel imports costs no recompilation.  To read all texts takes a fifth of the time that it takes
to find the imports in them, so what was found is kept under a digest of all texts.
"""

import contextlib
import hashlib
import os
import re
import tempfile
from functools import cache
from pathlib import Path

from freehint.jit.trust import distrust

UNFINISHED = ".unfinished-"  # a file's name until it is whole
PACKAGE = Path(__file__).parent.parent
RECORDS_KEPT = 32  # states of the sources, in a file of lines: digest of all texts, kernels_hash()
_RECORD = re.compile(r"([0-9a-f]{64}) ([0-9a-f]{64})")
_USES_KERNEL = re.compile(r"^\s*@kernel\b", re.M)
# ``from X import a, b`` and ``from X import (a,\n b)`` and ``import X``, anywhere in the text.
_IMPORT = re.compile(
    r"^\s*(?:from ([\w.]+) import (\([^)]*\)|[^\n]*)|import ([\w.]+))",
    re.M,
)


class Sources:
    """The modules of a package: their files, texts and imports of each other.

    Parameters
    ----------
    package : Path
    """

    def __init__(self, package: Path = PACKAGE):
        self.files = {}
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            self.files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        self.texts = {name: path.read_bytes() for name, path in self.files.items()}

    def with_kernels(self) -> list[str]:
        """The modules in which a function is decorated with ``@kernel``."""
        return [name for name, text in self.texts.items() if _USES_KERNEL.search(text.decode())]

    def imports(self, module: str) -> set[str]:
        """The modules of the package that a module imports, wherever in its text."""
        found = set()
        for source, names, plain in _IMPORT.findall(self.texts[module].decode()):
            if plain:
                found.add(plain)
                continue
            for name in re.findall(r"(\w+)(?: as \w+)?", re.sub(r"#[^\n]*", "", names)):
                inner = f"{source}.{name}"
                found.add(inner if inner in self.files else source)
        return found & self.files.keys()

    def closure(self, roots) -> list[str]:
        """Some modules, and all that they import, directly or not; sorted by name."""
        reached, new = set(), set(roots)
        while new:
            reached |= new
            new = {name for module in new for name in self.imports(module)} - reached
        return sorted(reached)

    def digest(self, modules) -> str:
        """The sha256 over names and texts of some modules, in hexadecimal digits."""
        digest = hashlib.sha256()
        for name in modules:
            digest.update(name.encode() + b"\0" + self.texts[name])
        return digest.hexdigest()


def texts_digest(folder: str | Path) -> str:
    """The sha256 over names and contents of all source files of a package or a folder in it."""
    digest = hashlib.sha256()
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            digest.update(f"{entry.name}/{texts_digest(entry.path)}".encode())
        elif entry.name.endswith(".py"):
            with open(entry.path, "rb", buffering=0) as file:
                text = file.read()
            digest.update(f"{entry.name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


@cache
def _package_digest() -> str:
    return texts_digest(PACKAGE)


@cache
def kernels_hash(records: tuple = ()) -> str:
    """The sha256 over every source file that shapes compiled kernels.

    ``records`` are files in which :func:`remember` may have kept it.
    """
    digest = _package_digest()
    for path in records:
        if digest in (known := _read_records(path)):
            return known[digest]
    sources = Sources()
    return sources.digest(sources.closure(sources.with_kernels()))


def remember(record: Path, found: str) -> None:
    """Keep that the sources, as they are, have this kernels_hash(); the file appears whole."""
    digest, known = _package_digest(), _read_records(record)
    if known.get(digest) == found:
        return
    kept = {**dict(list(known.items())[1 - RECORDS_KEPT :]), digest: found}
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix=UNFINISHED, dir=record.parent)
        with os.fdopen(handle, "w") as file:
            file.writelines(f"{texts} {kernels}\n" for texts, kernels in kept.items())
        os.replace(name, record)


def _read_records(path: Path) -> dict[str, str]:
    try:
        with path.open() as file:
            lines = [] if distrust(os.fstat(file.fileno())) else file.read().splitlines()
    except (OSError, ValueError):
        return {}
    return dict(one.groups() for one in map(_RECORD.fullmatch, lines) if one)


@cache
def code_hash(module: str) -> str:
    """The sha256 over a module of this package and all that it imports, kernels included."""
    sources = Sources()
    return sources.digest(sources.closure([module]))
