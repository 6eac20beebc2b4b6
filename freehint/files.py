"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
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
