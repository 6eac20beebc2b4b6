"""What is known of a guest's LRU lists at T0, and the places of their pages."""

from typing import NamedTuple

import numpy as np

from freehint.config import InputError
from freehint.formats.digest import Files
from freehint.inputs.reading import json_of, text_of, unpacked
from freehint.units import PAGES_PER_MIB

COUNTED = ("nr_inactive_file", "nr_active_file", "nr_inactive_anon", "nr_active_anon")


class T0Lists(NamedTuple):
    """Pages on each LRU list at T0, and the file that says so."""

    inactive_file: int
    active_file: int
    inactive_anon: int
    active_anon: int
    inputs: tuple

    @property
    def file_pages(self) -> int:
        """Pages of the page cache."""
        return self.inactive_file + self.active_file

    @property
    def anon_pages(self) -> int:
        """Pages of anonymous memory and tmpfs."""
        return self.inactive_anon + self.active_anon


def read_lists(stem) -> T0Lists:
    """The lengths of the LRU lists at T0, from NAME.info.json.gz of a recording.

    Raises
    ------
    InputError
        The file cannot be read, or does not have /proc/vmstat at T0.
    """
    path = stem.with_name(f"{stem.name}.info.json.gz")
    files = Files()
    found = json_of(text_of(unpacked(files.read(path), path), path).encode(), path)
    text = found.get("proc_T0") if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise InputError(f"{path}: has no text proc_T0")
    counts = {}
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        if name in COUNTED and number.isdigit() and len(number) < 10:
            counts[name] = int(number)
    for name in COUNTED:
        if name not in counts:
            raise InputError(f"{path}: proc_T0 has no line {name!r} with a number")
    return T0Lists(*(counts[name] for name in COUNTED), files.inputs)


def file_places(guest, pages: int) -> np.ndarray:
    """The places of T0's page cache: those of the file ``cached``, then nameless ones."""
    first, size = guest.plan.files.get(guest.cached, (0, 0))
    named = min(size, pages)
    nameless = guest.plan.places + np.arange(pages - named)
    return np.concatenate([first + np.arange(named), nameless])


def anon_places(guest) -> np.ndarray:
    """The places of T0's anonymous memory."""
    cache, anon = guest.t0_pages
    first = -(-(guest.plan.places + cache) // 512) * 512
    return first + np.arange(anon)


def held_places(guest) -> tuple:
    """The first place and the number of T0's anonymous places that "release" gives back."""
    places = anon_places(guest)
    behind = int(places[-1]) + 1 if len(places) else 0
    first = behind - min(guest.held_MiB * PAGES_PER_MIB, len(places))
    first = min(-(-first // 512) * 512, behind)  # what else its first page table maps stays
    return first, behind - first
