"""``freehint record snapshot``: the lists of a dump or of the running kernel, whole or refused."""

from pathlib import Path

from freehint.config import InputError
from freehint.files import scratch_folder, writing
from freehint.formats.snapshots import snapshot_files
from freehint.inputs.reading import exists
from freehint.record.lists.kernel import Reader
from freehint.record.lists.program import open_program, reading_kernel
from freehint.record.lists.tables import Lists, TornError, checked, write_lists

TRIES = 10  # readings of a running kernel before it is refused


def record_snapshot(stem, vmcore=None, vmlinux=None) -> Path:
    """Write the exact lists of a kernel as the four files of a snapshot.

    :func:`load_snapshot` reads them.  It needs the extra ``record``.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME.T0"``; the files' names begin with it.
    vmcore : str or Path, optional
        An ELF dump with a VMCOREINFO note.  Without it the running kernel is read.
    vmlinux : str or Path, optional
        The kernel with debug symbols.  Without it drgn looks for it.

    Returns
    -------
    Path
        The stem.

    Raises
    ------
    InputError
        Something is missing, a file exists already, the lists and the counters do not fit together,
        or the running kernel's lists moved in every reading.
    """
    stem = Path(stem)
    for path in snapshot_files(stem):
        if exists(path):
            raise InputError(f"{path}: exists already; a snapshot never overwrites another")
    program = open_program(*(Path(path) if path else None for path in (vmcore, vmlinux)))
    with reading_kernel(str(vmcore or "--live")):
        reader = Reader(program)
        lists = checked(reader.lists(), str(vmcore)) if vmcore else still(reader)
    with writing(stem), scratch_folder(stem.parent) as folder:
        write_lists(lists, folder / stem.name)
        for path in snapshot_files(stem):
            (folder / path.name).rename(path)
    return stem


def still(reader, tries: int = TRIES) -> Lists:
    """The lists of a running kernel from a reading during which nothing moved.

    The counters are read before and after the lists: were a page allocated or freed in between,
    the kernel's count of allocations or of frees would have grown.

    Parameters
    ----------
    reader : Reader
    tries : int
        Readings before it is given up.

    Raises
    ------
    TornError
        Every reading is torn.
    """
    why = ""
    for _ in range(tries):
        before = reader.counters()
        try:
            lists = checked(reader.lists(), "--live")
        except TornError as error:
            why = str(error)
            continue
        if reader.counters() == before:
            return lists
        why = "pages were allocated or freed meanwhile"
    raise TornError(
        f"--live: the lists moved under the reader in all of {tries} readings (the last: {why});"
        " stop what runs, or dump the machine and use --vmcore"
    )
