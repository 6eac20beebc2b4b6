"""What a recorded guest does: named workloads with numbers, or a shell script."""

from pathlib import Path
from typing import NamedTuple

from freehint.config import InputError
from freehint.inputs.reading import exists, reading
from freehint.record import WORKLOADS

MOST = 10**6


class Workload(NamedTuple):
    """A workload as the guest runs it.

    command : str          a line for the guest's shell
    script : Path or None  a file that the guest gets as /bin/NAME.sh
    """

    command: str
    script: Path | None = None


NOTHING = Workload("true")


def workload_of(text: str, name: str) -> Workload:
    """The workload that a user names: one of WORKLOADS with numbers, or a script's path.

    Parameters
    ----------
    text : str
        For instance "fork 20" or "./mine.sh".
    name : str
        The script's name in the guest.

    Raises
    ------
    InputError
        There is no such workload or script, or a number is none.
    """
    words = text.split()
    if words and words[0] in WORKLOADS:
        for word in words[1:]:
            if not (word.isascii() and word.isdigit() and 0 < int(word) <= MOST):
                raise InputError(f"workload {text!r}: {word!r} must be a whole number in 1..{MOST}")
        return Workload(" ".join((f"wl_{words[0]}", *words[1:])))
    path = Path(text)
    if not text or not exists(path):
        raise InputError(
            f"workload {text!r}: there is no such file, and the workloads are"
            f" {', '.join(WORKLOADS)}"
        )
    with reading(path):
        path.read_bytes()
    return Workload(f"sh /bin/{name}.sh", path)
