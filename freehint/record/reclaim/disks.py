"""Images of a guest's drives: an ext4 filesystem with files of random content, and swap."""

from pathlib import Path

import numpy as np

from freehint.config import InputError, whole
from freehint.record.reclaim.steps import FILE_NAME, Drives
from freehint.record.tools import find_program, require_tools, run

MOST_MIB = 64 << 10
SPARE_MIB, SPARE_SHARE = 64, 8  # of the filesystem: its journal, and an eighth of what it holds
PIECE = 1 << 20


def disk_files(text: str) -> dict[str, int]:
    """The files that a disk begins with, and their MiB.

    Parameters
    ----------
    text : str
        Words NAME=MIB, for instance "a=210 b=210".

    Raises
    ------
    InputError
        A word is no such file, or a file is there twice.
    """
    files = {}
    for word in text.split():
        name, _, mib = word.partition("=")
        if not FILE_NAME.fullmatch(name) or name in files:
            raise InputError(
                f"--disk: {word!r:.80} must be NAME=MIB, NAME of small letters, digits and _, and"
                " each file once"
            )
        if not (mib.isascii() and mib.isdigit() and 1 <= int(mib[:12]) <= MOST_MIB):
            raise InputError(f"--disk: file {name!r} must have 1..{MOST_MIB} MiB, got {mib!r:.80}")
        files[name] = int(mib)
    if not files:
        raise InputError("--disk: names no file; a disk is for instance 'a=210 b=210'")
    return files


def check_drives(swap_mib: int) -> None:
    """Refuse a swap drive of an impossible size.

    Raises
    ------
    InputError
        It is below 0 or beyond 64 GiB.
    """
    whole("--swap in MiB", swap_mib, 0, MOST_MIB)


def drive_tools(disk: bool, swap: bool) -> tuple:
    """The programs of the host that make the drives."""
    return ("mkfs.ext4",) * disk + ("mkswap",) * swap


def drives_bytes(drives: Drives) -> int:
    """The most that the images take on the host's disk."""
    return (disk_mib(drives) + drives.swap_mib << 20) if drives.disk_mib else drives.swap_mib << 20


def disk_mib(drives: Drives) -> int:
    """MiB of the filesystem: all files that ever are on it, and some more."""
    return drives.disk_mib + drives.disk_mib // SPARE_SHARE + SPARE_MIB


def make_drives(folder: Path, files: dict[str, int], drives: Drives) -> tuple:
    """Write the images of a guest's drives.

    Parameters
    ----------
    folder : Path
        For the images.
    files : dict of str to int
        The files that the disk begins with, and their MiB; empty if there is no disk.
    drives : Drives
        What the steps leave, for the sizes.

    Returns
    -------
    tuple
        The paths of the disk and then of the swap, those that there are.

    Raises
    ------
    ChildProcessError
        mkfs.ext4 or mkswap failed.
    """
    made = []
    require_tools(drive_tools(bool(files), bool(drives.swap_mib)), "a guest with drives")
    if files:
        content = folder / "disk"
        content.mkdir()
        for number, (name, mib) in enumerate(files.items()):
            random = np.random.default_rng(number)
            with open(content / name, "wb") as file:
                for _ in range(mib):
                    file.write(random.bytes(PIECE))
        image = folder / "disk.img"
        # No tables that the guest would go on to write by itself.
        options = "lazy_itable_init=0,lazy_journal_init=0"
        size = f"{disk_mib(drives)}M"
        run(find_program("mkfs.ext4"), "-q", "-E", options, "-d", str(content), str(image), size)
        for name in files:
            (content / name).unlink()
        content.rmdir()
        made.append(image)
    if drives.swap_mib:
        image = folder / "swap.img"
        with open(image, "wb") as file:
            file.truncate(drives.swap_mib << 20)
        image.chmod(0o600)
        run(find_program("mkswap"), str(image))
        made.append(image)
    return tuple(made)


def commands(files: dict[str, int], swap_mib: int) -> list[str]:
    """Lines for the guest's shell, which mount the disk and name the swap drive."""
    lines = ["mount -t ext4 /dev/vda /mnt"] if files else []
    if swap_mib:
        lines.append(f"export SWAP=/dev/vd{'b' if files else 'a'}")
    return lines
