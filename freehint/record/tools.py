"""The programs that a recording needs, and the Debian packages that bring them."""

import os
import shutil
import subprocess
from pathlib import Path

from freehint.config import InputError

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "gcc": "gcc libc6-dev",
    "make": "make",
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "mkfs.ext4": "e2fsprogs",
    "mkswap": "util-linux",
}
SYSTEM_PATH = "/usr/sbin:/sbin"  # a user's PATH may lack them
INTERPRETER = b"/lib64/ld-linux"  # a program that is linked dynamically names it


def require_tools(names, what_for: str) -> None:
    """Refuse to begin unless all programs are there.

    Parameters
    ----------
    names : iterable of str
        Keys of PACKAGES, or the name of a compiler such as "gcc-12".
    what_for : str
        The feature that needs them; the message begins with it.

    Raises
    ------
    InputError
        Programs are missing; the message names them and their packages.
    """
    missing = [name for name in names if not _usable(name)]
    if missing:
        packages = " ".join(PACKAGES.get(name, name) for name in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"{what_for} needs {', '.join(missing)}, which {verb} not installed"
            f" (Debian: apt-get install {packages})"
        )


def _usable(name: str) -> bool:
    """Whether a program is there; busybox must be the static one, because guests have no libc."""
    path = find_program(name)
    if path is None:
        return False
    return name != "busybox" or INTERPRETER not in Path(path).read_bytes()


def find_program(name: str) -> str | None:
    """The path of a program; None if there is none."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def run(*command, cwd=None, stdin=None) -> str:
    """Run a program to its end.

    Returns
    -------
    str
        Its output.

    Raises
    ------
    ChildProcessError
        It failed; the message has the last line that it said.
    """
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise ChildProcessError(f"{command[0]} failed: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def last_line(text: str) -> str:
    """The last line of a text that is not blank, or a word that there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
