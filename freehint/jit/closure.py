"""Which source files shape compiled kernels: all that the modules with kernels import.

The imports are read from the text, so nothing is imported to find them, and an edit of a file that
no kernel imports costs no recompilation.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
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


@cache
def kernels_hash() -> str:
    """The sha256 over every source file that shapes compiled kernels."""
    sources = Sources()
    return sources.digest(sources.closure(sources.with_kernels()))


@cache
def code_hash(module: str) -> str:
    """The sha256 over a module of this package and all that it imports, kernels included."""
    sources = Sources()
    return sources.digest(sources.closure([module]))
