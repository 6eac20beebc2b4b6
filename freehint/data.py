"""The sample recordings that ship with freehint: see README.md in the data folder."""

from difflib import get_close_matches
from pathlib import Path

DEFAULT_MEMORY = "linux-6.1/snapshots/snap4g.T0"
_PACKAGE = Path(__file__).parent


def data(name: str | Path) -> Path:
    """Path of shipped sample data, from a checkout, a notebook or an installed wheel alike.

    Parameters
    ----------
    name
        A file or a folder in the data folder, or the stem that the files of one recording
        share: ``"linux-6.1/snapshots/snap4g.T0"`` stands for ``snap4g.T0.freelist.parquet``,
        ``snap4g.T0.pcp.parquet`` and so on.

    Returns
    -------
    Path
        Absolute.  A stem's path is not itself a file.

    Raises
    ------
    FileNotFoundError
        If there is no such sample data; names the closest that there is.

    Examples
    --------
    >>> import freehint as fh
    >>> fh.data("linux-6.1/snapshots/snap4g.T0").name
    'snap4g.T0'
    >>> fh.data("linux-6.1/migration/migrations.csv").is_file()
    True
    """
    folder = _data_folder()
    known = _known_names(folder)
    wanted = Path(name).as_posix()
    if wanted not in known:
        closest = get_close_matches(wanted, known, n=3, cutoff=0.4)
        hint = f"; the closest are {', '.join(map(repr, closest))}" if closest else ""
        raise FileNotFoundError(f"no sample data is called {str(name)!r}{hint}")
    return folder / wanted


def stem(name: str | Path, suffix: str) -> Path:
    """The stem of a recording, by its path or by its name in the sample data.

    Parameters
    ----------
    name
        Relative to the working directory, absolute, or a name of the sample data.
    suffix : str
        What a file of the recording adds to its stem: ``".meta.json"``.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    FileNotFoundError
        There is no such file, and no such sample data.
    """
    return Path(name).absolute() if Path(f"{name}{suffix}").exists() else data(name)


def _data_folder() -> Path:
    """The data folder: inside an installed package, beside the package in a checkout."""
    installed = _PACKAGE / "_data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


def _known_names(folder: Path) -> set[str]:
    """Every file and folder, and every stem of a recording's file: cut at each of its dots."""
    known = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        known.add(name.as_posix())
        if path.is_file() and name.parent != Path():
            parts = name.name.split(".")
            known |= {(name.parent / ".".join(parts[:n])).as_posix() for n in range(1, len(parts))}
    return known
