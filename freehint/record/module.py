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
SUFFIXES = (".c", ".h")


def build(module_folder: Path, headers: Path, kernel_release: str) -> Path:
    """The module ``fhwalk.ko`` for one kernel, from the cache if the sources are the same.

    Parameters
    ----------
    module_folder : Path
        Holds fhwalk.c, its headers and a Makefile.
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
    sources = sorted(path for path in module_folder.glob("*") if path.suffix in SUFFIXES)
    if module_folder / f"{NAME}.c" not in sources:
        raise InputError(f"{module_folder}: holds no {NAME}.c")
    architecture = headers / f"usr/src/linux-headers-{kernel_release}"
    common = list((headers / "usr/src").glob("linux-headers-*-common/Makefile"))
    if not architecture.is_dir() or len(common) != 1:
        raise InputError(f"{headers}: holds no headers of kernel {kernel_release}")
    digest = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in sources))
    built = headers.parent / f"{NAME}-{digest.hexdigest()[:16]}.ko"
    if built.is_file():
        return built
    with tempfile.TemporaryDirectory() as folder:
        for path in sources:
            shutil.copy(path, folder)
        makefile = f"obj-m := {NAME}.o\nCFLAGS_{NAME}.o := -I$(src)\n"
        (Path(folder) / "Makefile").write_text(makefile)
        # The headers' own Makefile includes the common one by an absolute name, /usr/src/...
        run("make", "-C", str(architecture), "-f", str(common[0]), f"M={folder}", "modules")
        with whole_file(built) as temporary:
            shutil.copyfile(f"{folder}/{NAME}.ko", temporary)
    return built
