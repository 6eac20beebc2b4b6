"""Files that appear whole or not at all, and TOML from outside."""

import contextlib
import os
import tempfile
import tomllib
from pathlib import Path

from freehint.config import InputError


@contextlib.contextmanager
def whole_file(path: Path):
    """A temporary neighbour of ``path`` that takes its name only if all went well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_toml(path: Path) -> dict:
    """What a TOML file says.

    Raises
    ------
    InputError
        It cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: this is not TOML: {error}") from None
