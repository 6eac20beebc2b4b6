"""Which files of compiled kernels are trusted: whoever loads a kernel executes it.

A folder and its files are trusted if they belong to this user, or to root, and nobody else may
write to them.  Access lists beside the nine bits of the mode are not looked at.
"""

import contextlib
import os
import re
import stat
import warnings
from pathlib import Path

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
PRIVATE = 0o700
_told = set()  # folders refused by this process
KERNELS = re.compile(r"[0-9a-f]{16}|sources|.*\.kernel|\.unfinished-.*|.*\.nb[ic]")


def distrust(status: os.stat_result) -> str | None:
    """Why a file or folder is not trusted, as the end of a sentence; None if it is."""
    if status.st_uid not in (os.geteuid(), 0):
        return f"belongs to user {status.st_uid}"
    # In a folder with the sticky bit, such as /tmp, others cannot replace what is ours.
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & OTHERS_MAY_WRITE and not sticky:
        return f"can be written by other users (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def private(folder: Path) -> bool:
    """Make a folder for compiled kernels alone, or take away what others may do in such a one.

    Returns
    -------
    bool
        Whether it is trusted now.  A repair and a refusal are told in one sentence.

    Raises
    ------
    OSError
        It is not there and cannot be made.
    """
    try:
        folder.mkdir(mode=PRIVATE)
    except FileExistsError:
        _repair(folder)
    except FileNotFoundError:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE, exist_ok=True)
    return admitted(folder)


def _repair(folder: Path) -> None:
    """Take a folder of ours from other users, unless it holds anything but kernels' folders."""
    status = folder.stat()
    if status.st_uid != os.geteuid() or not distrust(status):
        return
    if not all(KERNELS.fullmatch(one.name) for one in folder.iterdir()):
        return
    # Where it cannot be done the folder is refused.
    with contextlib.suppress(OSError):
        folder.chmod(PRIVATE)
        if not distrust(folder.stat()):
            warnings.warn(
                f"{folder}: other users could write to this folder of compiled kernels;"
                " now only you can",
                RuntimeWarning,
                stacklevel=2,
            )


def admitted(folder: Path) -> bool:
    """Is a folder that exists trusted?  A refusal is told in one sentence."""
    why = distrust(folder.stat())
    if why and folder not in _told:
        _told.add(folder)
        warnings.warn(
            f"{folder}: {why}, so no compiled kernels are loaded from there or kept there",
            RuntimeWarning,
            stacklevel=2,
        )
    return why is None
