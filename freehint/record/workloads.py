"""What a recorded guest does: named workloads with numbers, or a shell script."""

from pathlib import Path
from typing import NamedTuple

from freehint.config import InputError
from freehint.inputs.reading import exists, reading
from freehint.record import WORKLOADS
from freehint.record.reclaim.steps import MOST, Balloon, Drives, is_steps, parse_steps


class Workload(NamedTuple):
    """A workload as the guest runs it.

    command : str          a line for the guest's shell
    script : Path or None  a file that the guest gets as /bin/NAME.sh
    parts : tuple          its steps: lines for the guest's shell, and a Balloon for each of the
                           host's; () if the command is all
    """

    command: str
    script: Path | None = None
    parts: tuple = ()


NOTHING = Workload("true")


def workload_of(text: str, name: str, drives: Drives | None = None) -> Workload:
    """The workload that a user names: one of WORKLOADS with numbers, steps, or a script's path.

    Parameters
    ----------
    text : str
        For instance "fork 20", "read a; load fill 60" or "./mine.sh".
    name : str
        The script's name in the guest.
    drives : Drives, optional
        What steps find on the guest's drives, which they change; nothing by default.

    Raises
    ------
    InputError
        There is no such workload, step or script, or a number is none.
    """
    words = text.split()
    if is_steps(text):
        parts = parse_steps(text, drives or Drives({}))
        said = (f"step {p.number} {p.text}" if isinstance(p, Balloon) else p for p in parts)
        return Workload(" && ".join(said), parts=parts)
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
