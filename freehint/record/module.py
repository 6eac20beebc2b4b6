"""Build the walker's module against unpacked headers; nothing of them needs to be installed."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from freehint.config import InputError
from freehint.files import whole_file
from freehint.record.tools import run

SOURCES = Path(__file__).parent / "module"
NAME = "fhwalk"
MAKE = ("Makefile", "Kbuild")


def sources(module_folder: Path) -> list[Path]:
    """The files that a module is built from.

    Raises
    ------
    InputError
        The folder has no Makefile or no Kbuild.
    """
    for name in MAKE:
        if not (module_folder / name).is_file():
            raise InputError(f"{module_folder}: holds no module, for it has no {name}")
    return sorted(path for path in module_folder.glob("*") if path.name in MAKE or _is_c(path))


def build(module_folder: Path, headers: Path, kernel_release: str) -> Path:
    """The module ``fhwalk.ko`` for one kernel, from the cache if the sources are the same.

    Parameters
    ----------
    module_folder : Path
        Holds the sources, a Kbuild, and a Makefile that takes the headers' folder as KDIR.
    headers : Path
        The root below which linux-headers-RELEASE, its -common part and linux-kbuild are unpacked;
        the module is kept beside it.
    kernel_release : str
        As ``uname -r`` says.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The folder has no such module, or the headers are those of another kernel.
    ChildProcessError
        make failed; the message has its last line.
    """
    files = sources(module_folder)
    architecture = headers / f"usr/src/linux-headers-{kernel_release}"
    if not architecture.is_dir():
        raise InputError(f"{headers}: holds no headers of kernel {kernel_release}")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    built = headers.parent / f"{NAME}-{digest.hexdigest()[:16]}.ko"
    if built.is_file():
        return built
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            shutil.copy(path, folder)
        run("make", "-C", folder, f"KDIR={architecture.absolute()}")
        with whole_file(built) as temporary:
            shutil.copyfile(f"{folder}/{NAME}.ko", temporary)
    return built


def _is_c(path: Path) -> bool:
    return path.suffix in (".c", ".h")
