"""The hash of the kernels' sources, kept beside compiled kernels: never that of other texts."""

import os
import shutil

import pytest

from freehint.jit import cache, closure

DIGITS = "0123456789abcdef" * 4


@pytest.fixture
def package(tmp_path):
    shutil.copytree(closure.PACKAGE / "jit", tmp_path / "jit")
    return tmp_path / "jit"


def test_every_edit_changes_the_digest_of_all_texts(package):
    """Also one that leaves size and time as they were, which a file's status would not tell."""
    path, seen = package / "trust.py", {closure.texts_digest(package)}
    status, text = path.stat(), path.read_text()
    path.write_text(text.replace("import", "inport", 1))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    seen.add(closure.texts_digest(package))
    path.write_text(text)
    path.rename(package / "faith.py")
    seen.add(closure.texts_digest(package))
    (package / "inner").mkdir()
    (package / "faith.py").rename(package / "inner" / "faith.py")
    seen.add(closure.texts_digest(package))
    assert len(seen) == 4
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "more.py").write_text(text)
    (package / "notes.txt").write_text(text)
    assert closure.texts_digest(package) in seen


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A record of these sources; whoever reads them again to find the hash fails."""
    found = closure.kernels_hash()
    closure.remember(tmp_path / cache.RECORD, found)
    monkeypatch.setattr(closure, "Sources", None)
    return tmp_path / cache.RECORD


def looked_up(*records) -> str:
    """The hash in a process that has not found it yet."""
    return closure.kernels_hash.__wrapped__(records)


def test_the_hash_is_looked_up(record):
    assert looked_up(record.with_name("missing"), record) == closure.kernels_hash()
    assert not list(record.parent.glob(f"{closure.UNFINISHED}*"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.chmod(0o666),
        lambda path: path.write_text(path.read_text()[:-2]),
        lambda path: path.write_text(f"{DIGITS} {path.read_text().split()[1]}\n"),
        lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
    ],
    ids=["missing", "anybody's", "cut off", "of other texts", "no text"],
)
def test_a_record_that_is_not_whole_trusted_and_of_these_texts_is_not_used(record, spoil):
    spoil(record)
    with pytest.raises(TypeError):
        looked_up(record)


def test_a_record_keeps_the_last_states(record, monkeypatch):
    for number in range(2 * closure.RECORDS_KEPT):
        monkeypatch.setattr(closure, "_package_digest", f"{number:064x}".format)
        closure.remember(record, DIGITS)
    lines = record.read_text().splitlines()
    assert len(lines) == closure.RECORDS_KEPT and lines[-1].startswith(f"{number:064x} ")
    assert looked_up(record) == DIGITS


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    closure.remember(tmp_path / "missing" / "sources", DIGITS)
    assert not list(tmp_path.iterdir())
