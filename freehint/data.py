"""The sample recordings shipped with freehint; README.md in the data folder describes them."""

from difflib import get_close_matches
from glob import escape
from pathlib import Path

from freehint.inputs.reading import exists

DEFAULT_MEMORY = "linux-6.1/snapshots/snap4g.T0"
_PACKAGE = Path(__file__).parent


def data(name: str | Path) -> Path:
    """The path of shipped sample data, in a checkout as in an installed wheel.

    Parameters
    ----------
    name : str or Path
        A file or a folder in the data folder, or the stem that the files of one recording
        share: ``"linux-6.1/snapshots/snap4g.T0"`` stands for ``snap4g.T0.freelist.parquet``,
        ``snap4g.T0.pcp.parquet`` and so on.

    Returns
    -------
    Path
        An absolute path.  If ``name`` is a stem, there is no file of that path.

    Raises
    ------
    FileNotFoundError
        There is no such sample data; the message has the closest names.

    Examples
    --------
    >>> import freehint as fh
    >>> fh.data("linux-6.1/snapshots/snap4g.T0").name
    'snap4g.T0'
    >>> fh.data("linux-6.1/migration/migrations.csv").is_file()
    True
    """
    folder = _data_folder()
    wanted = Path(name).as_posix()
    if not _is_known(folder, Path(name)):
        closest = get_close_matches(wanted, _known_names(folder), n=3, cutoff=0.4)
        hint = f"; the closest are {', '.join(map(repr, closest))}" if closest else ""
        raise FileNotFoundError(f"no sample data is called {str(name)!r}{hint}")
    return folder / wanted


def stem(name: str | Path, suffix: str) -> Path:
    """The stem of a recording, found by its path or by its name in the sample data.

    Parameters
    ----------
    name : str or Path
        A path, relative to the working directory or absolute, or a name of the sample data.
    suffix : str
        The rest of the name of one of the recording's files, such as ``".meta.json"``.

    Returns
    -------
    Path
        An absolute path.

    Raises
    ------
    FileNotFoundError
        There is no such file, and no such sample data.
    """
    return Path(name).absolute() if exists(Path(f"{name}{suffix}")) else data(name)


def _data_folder() -> Path:
    """The data folder, which is in an installed package but beside the package in a checkout."""
    installed = _PACKAGE / "_data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


def _is_known(folder: Path, name: Path) -> bool:
    """Is a name among the known ones?  Without listing them all, which takes 15 ms."""
    if not name.parts or name.is_absolute() or ".." in name.parts:
        return False
    if (folder / name).exists():
        return True
    stems = (folder / name.parent).glob(f"{escape(name.name)}.*")
    return name.parent != Path() and any(path.is_file() for path in stems)


def _known_names(folder: Path) -> set[str]:
    """Every file and folder, and every stem: a recording's file name cut at each of its dots."""
    known = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        known.add(name.as_posix())
        if path.is_file() and name.parent != Path():
            parts = name.name.split(".")
            known |= {(name.parent / ".".join(parts[:n])).as_posix() for n in range(1, len(parts))}
    return known
