"""Packages through apt, as the machine is configured: found, downloaded, never installed."""

import re
from pathlib import Path

from freehint.config import InputError
from freehint.files import whole_folder
from freehint.inputs.reading import reading
from freehint.record.tools import run

OS_RELEASE = Path("/etc/os-release")
BACKPORTS = "-backports"


class Apt:
    """Calls of apt-get and apt-cache.

    Parameters
    ----------
    options : tuple of str
        More options, such as a private list of sources.
    """

    def __init__(self, options: tuple = ()):
        self.options = options

    def names(self, prefix: str) -> list[str]:
        """The packages whose names have a prefix, sorted."""
        return sorted(run("apt-cache", *self.options, "pkgnames", prefix).split())

    def version(self, package: str) -> str | None:
        """The version that apt would download; None if no source has the package."""
        policy = run("apt-cache", *self.options, "policy", package)
        match = re.search(r"^ *Candidate: (?!\(none\))(\S+)", policy, re.MULTILINE)
        return match[1] if match else None

    def depends(self, package: str) -> list[str]:
        """The names of the packages that one depends on."""
        text = run("apt-cache", *self.options, "depends", "--important", package)
        return re.findall(r"^[ |]*Depends: ([^<\s]+)", text, re.MULTILINE)

    def download(self, packages, folder: Path) -> list[Path]:
        """Download packages into an empty folder, and return their files in the same order."""
        # Without the option apt warns that its own user cannot write into the folder.
        sandbox = ("-o", "APT::Sandbox::User=root")
        run("apt-get", *self.options, *sandbox, "--quiet", "download", *packages, cwd=folder)
        return [next(folder.glob(f"{package}_*.deb")) for package in packages]


def backports(folder: Path) -> Apt:
    """Apt with the backports of this release, from the mirror that the machine uses already.

    Nothing of the machine's configuration changes: the line and its lists are in ``folder``.

    Parameters
    ----------
    folder : Path
        Is made if it is missing; otherwise its lists are used as they are.

    Raises
    ------
    InputError
        The machine's configuration names no mirror of its release.
    """
    return suite(folder, _codename() + BACKPORTS)


def suite(folder: Path, name: str) -> Apt:
    """Apt with another suite, such as "bullseye"; else as :func:`backports`."""
    if not folder.is_dir():
        line = f"deb {_mirror()} {name} main\n"
        with whole_folder(folder) as temporary:
            (temporary / "sources.list").write_text(line)
            (temporary / "lists/partial").mkdir(parents=True)
            run("apt-get", *_private(temporary), "--quiet", "update")
    return Apt(_private(folder))


def _private(folder: Path) -> tuple:
    """Options by which apt has its sources and lists in a folder."""
    where = {
        "Dir::Etc::sourcelist": "sources.list",
        "Dir::State::lists": "lists",
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
    }
    options = [f"{name}={(folder / file).absolute()}" for name, file in where.items()]
    options += ["Dir::Etc::sourceparts=-", "APT::Sandbox::User=root"]
    return tuple(word for option in options for word in ("-o", option))


def _codename() -> str:
    """The name of this machine's release of Debian, such as "bookworm"."""
    with reading(OS_RELEASE):
        match = re.search(r"^VERSION_CODENAME=(\w+)", OS_RELEASE.read_text(), re.MULTILINE)
    return match[1] if match else ""


def _mirror() -> str:
    """The address from which the machine has its release of Debian."""
    codename = _codename()
    shown = run("apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)")
    for line in shown.splitlines():
        if line.startswith(f"{codename} main "):
            return line.split()[2]
    raise InputError(f"apt's configuration names no mirror of {codename or 'a Debian release'}")
