"""Kernels on disk: never stale, never half read, never needed; safe with several at once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import ignore_patterns

import pytest

from forks import Forked, forking
from freehint.cli import main
from freehint.jit.cache import (
    ABANDONED_S,
    LOCK,
    UNFINISHED,
    UNUSED_S,
    prune,
    read_whole,
    write_whole,
)
from freehint.jit.closure import PACKAGE, Sources
from imports import imports_of

# Doubles what it is given, through a helper in another file; three signatures, so three kernels.
ONE = "from freehint.jit import kernel\n\n@kernel(inline=True)\ndef one(x):\n    return 2 * x\n"
TWO = (
    "from freehint.jit import kernel\nfrom freehint.one import one\n\n"
    "@kernel\ndef two(x):\n    return one(x)\n"
)
CALL = """
from freehint.jit.cache import COUNTS
from freehint.two import two
print(two(5), two(2.5), two(1j), *COUNTS.all)
"""
RIGHT = ["10", "5.0", "2j"]
LLVM_BITCODE = b"BC\xc0\xde"  # it would be there for other kernels to link


class Small:
    """A package of two kernels with the product's own cache, in a folder of its own."""

    forks = None  # where processes begin that have imported numba, and nothing of freehint

    def __init__(self, folder: Path):
        self.folder, self.package, self.cache = folder, folder / "freehint", folder / "cache"

    def make(self):
        self.package.mkdir()
        shutil.copytree(
            PACKAGE / "jit", self.package / "jit", ignore=ignore_patterns("__pycache__")
        )
        for name in ("units.py", "inputs/__init__.py", "inputs/collector.py"):
            (self.package / name).parent.mkdir(exist_ok=True)
            shutil.copy(PACKAGE / name, self.package / name)
        (self.package / "__init__.py").write_text("")
        (self.package / "one.py").write_text(ONE)
        (self.package / "two.py").write_text(TWO)
        (self.package / "words.py").write_text("from freehint.two import two\n")
        return self

    def begin(self, code: str = CALL, **changed) -> Forked:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "FREEHINT_CACHE_DIR": str(self.cache),
            "PYTHONDONTWRITEBYTECODE": "1",
            **changed,
        }
        return Forked(self.forks, code, self.folder, environment)

    def call(self, **changed) -> list:
        """The results; how many kernels were compiled, found and could not be kept."""
        process = self.begin(**changed)
        out, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        *given, compiled, found, not_kept = out.split()
        assert given == RIGHT
        return [int(compiled), int(found), int(not_kept)]

    def kernels(self) -> list[Path]:
        return sorted(self.cache.glob("*/*.kernel"))


@pytest.fixture(scope="module", autouse=True)
def forks(tmp_path_factory):
    """All processes are forked from one, in which every warning is an error."""
    Small.forks = tmp_path_factory.mktemp("forks") / "socket"
    with forking(Small.forks, ["numba", "numpy"], "-W", "error"):
        yield


@pytest.fixture
def small(tmp_path):
    """It has compiled nothing yet."""
    return Small(tmp_path).make()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """It has compiled its kernels; tests that change it take a copy."""
    small = Small(tmp_path_factory.mktemp("compiled")).make()
    assert small.call() == [3, 0, 0]
    assert len(small.kernels()) == 3
    assert not [path for path in small.kernels() if LLVM_BITCODE in path.read_bytes()]
    return small


@pytest.fixture
def warm(compiled, tmp_path):
    """A copy of it, in another folder."""
    return Small(shutil.copytree(compiled.folder, tmp_path / "warm"))


def test_what_was_compiled_is_found(compiled):
    assert compiled.call() == [0, 3, 0]


def test_an_edit_in_a_callee_starts_a_fresh_cache(warm):
    """Numba alone would go on with the old callee."""
    (warm.package / "one.py").write_text(ONE.replace("2 * x", "x + x"))
    assert warm.call() == [3, 0, 0]
    assert len(warm.kernels()) == 6


def damaged(how: str, whole: bytes, other: bytes) -> bytes:
    """The content of a kernel's file, damaged."""
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    contents = {"empty": b"", "cut": whole[:middle], "one bit": flipped, "another's": other}
    return contents.get(how, os.urandom(len(whole)))


@pytest.mark.parametrize("damages", [("empty", "cut", "one bit"), ("garbage", "another's")])
def test_damaged_files_are_compiled_again(warm, damages):
    paths = warm.kernels()
    whole = [path.read_bytes() for path in paths]
    for i, how in enumerate(damages):
        paths[i].write_bytes(damaged(how, whole[i], whole[i - 1]))
    assert warm.call() == [len(damages), 3 - len(damages), 0]
    assert warm.call() == [0, 3, 0]


def test_a_folder_in_a_files_place_stays_and_its_kernel_is_compiled(warm):
    path = warm.kernels()[0]
    path.unlink()
    path.mkdir()
    assert warm.call() == [1, 2, 1]


def test_four_first_starts_at_once_compile_each_kernel_once(small):
    """All give the same, and leave a cache in which nothing is missing."""
    compiled, found = 0, 0
    for process in [small.begin() for _ in range(4)]:
        out, errors = process.communicate()
        assert (out.split()[:3], errors, process.returncode) == (RIGHT, "", 0)
        compiled += int(out.split()[3])
        found += int(out.split()[4])
    assert (compiled, found) == (3, 9)
    assert small.call() == [0, 3, 0]
    assert not list(small.cache.rglob(f"{UNFINISHED}*"))


# Says when it holds the lock of its first kernel, and goes on when it is told to.
HOLDS = """
import sys
from freehint.jit.cache import KernelCache
save = KernelCache.save_overload
def slowly(self, sig, data):
    if not said:
        said.append(print("compiling", flush=True))
        sys.stdin.readline()
    save(self, sig, data)
said = []
KernelCache.save_overload = slowly
"""


@pytest.fixture
def holder(small):
    """A process that compiles the first kernel until it is killed or gets a line."""
    process = small.begin(HOLDS + CALL)
    assert process.stdout.readline() == "compiling\n"
    yield process
    process.kill()
    process.communicate()


def waits(process: Forked) -> bool:
    """Does a process sleep in a lock, before a minute is over?"""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if "FLOCK" in locks_of(process.pid):
            return True
        time.sleep(0.01)
    return False


def locks_of(pid: int) -> str:
    """The lines of /proc/locks with which a process waits."""
    lines = Path("/proc/locks").read_text().splitlines()
    return "\n".join(line for line in lines if "->" in line and str(pid) in line.split())


@pytest.mark.parametrize("end", ["goes on", "is killed"])
def test_who_needs_what_another_compiles_waits_until_that_ends(small, holder, end):
    if end == "goes on":  # who is interrupted while it waits leaves the lock to its holder
        interrupted = small.begin()
        assert waits(interrupted)
        interrupted.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in interrupted.communicate()[1]
    waiting = small.begin()
    assert waits(waiting)
    if end == "goes on":
        holder.communicate("\n")
    else:
        holder.kill()
    out, errors = waiting.communicate()
    found = 1 if end == "goes on" else 0
    assert (out.split()[:3], errors) == (RIGHT, "")
    assert int(out.split()[4]) >= found and int(out.split()[5]) == 0
    assert small.call() == [0, 3, 0]


def test_a_kernel_that_cannot_be_compiled_keeps_nobody_waiting(small):
    wrong = "from freehint.two import two\ntry:\n    two('x', 1)\nexcept TypeError:\n    pass\n"
    code = wrong + "import sys; print('tried', flush=True); sys.stdin.readline()"
    process = small.begin(code)
    process.stdout.readline()
    assert not list(small.cache.rglob(f"{UNFINISHED}*"))
    assert small.call() == [3, 0, 0]
    process.communicate("\n")


def test_two_threads_compile_a_kernel_once(small):
    code = """
import threading
from freehint.jit.cache import COUNTS
from freehint.two import two
threads = [threading.Thread(target=two, args=(x,)) for x in (5, 2.5, 1j) * 2]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(two(5), two(2.5), two(1j), *COUNTS.all)
"""
    out, errors = small.begin(code).communicate()
    assert (out.split(), errors) == ([*RIGHT, "3", "0", "0"], "")


def test_where_nothing_can_be_locked_each_compiles_for_itself(small):
    """As on file systems without locks."""
    unlocked = """
from freehint.jit import cache
def no_locks(*_):
    raise OSError(37, "No locks available")
cache.fcntl.flock = no_locks
"""
    out, errors = small.begin(unlocked + CALL).communicate()
    assert (out.split(), errors) == ([*RIGHT, "3", "0", "0"], "")
    assert small.call() == [0, 3, 0]


KILLED = """
import os, signal
from freehint.jit import cache as kernel_cache
kernel_cache.os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_before_a_file_has_its_name(small):
    """kill -9 at the worst moment: the file that is left is not taken for a kernel."""
    process = small.begin(KILLED.format(call="replace") + CALL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert small.kernels() == []
    (left,) = (path for path in small.cache.rglob(f"{UNFINISHED}*") if path.suffix != LOCK)
    assert small.call() == [3, 0, 0]
    old = time.time() - 2 * ABANDONED_S
    os.utime(left, (old, old))
    prune(left.parent)
    assert not left.exists() and len(small.kernels()) == 3


def test_killed_again_and_again_beside_others(small):
    """Killed at any time: the process that is left alone is right, and so is the next."""
    for wait_s in (0.4, 0.8, 1.2, 1.6):
        victims = [small.begin() for _ in range(2)]
        time.sleep(wait_s)
        for victim in victims:
            victim.kill()
            victim.communicate()
    compiled, found, not_kept = small.call()
    assert (compiled + found, not_kept) == (3, 0)
    assert small.call() == [0, 3, 0]


@pytest.mark.parametrize("cache", ["file/below", "/proc/freehint"])
def test_where_no_folder_can_be_made_the_kernels_compile_in_memory(small, cache):
    """Not even root makes a folder below a file, or in /proc."""
    (small.folder / "file").write_text("")
    place = str(small.folder / cache)  # an absolute path stays as it is
    assert small.call(FREEHINT_CACHE_DIR=place) == [3, 0, 0]
    assert small.kernels() == []


def test_a_disk_that_is_full_costs_only_the_cache(small):
    full = """
from freehint.jit import cache as kernel_cache
def no_space(*_):
    raise OSError(28, "No space left on device")
kernel_cache.os.fdopen = no_space
"""
    process = small.begin(full + CALL)
    out, errors = process.communicate()
    assert (out.split(), errors) == ([*RIGHT, "3", "0", "3"], "")
    assert not list(small.cache.rglob(f"{UNFINISHED}*"))


def test_a_read_only_install_and_no_home(small):
    """Neither the user's folder nor the package's own: compile in memory, and say nothing."""
    blocked = small.folder / "file"
    blocked.write_text("")
    (small.package / "__pycache__").write_text("")
    away = {"XDG_CACHE_HOME": str(blocked), "HOME": str(blocked), "FREEHINT_CACHE_DIR": ""}
    assert small.call(**away) == [3, 0, 0]


# Root may write anywhere, so the package is told that it may not.
READ_ONLY = """
from freehint.jit import cache as kernel_cache
may = kernel_cache.writable
kernel_cache.writable = lambda folder: "kernels" not in folder.parts and may(folder)
"""


@pytest.mark.parametrize("home", ["file", "home"])
def test_a_read_only_install_that_was_warmed(warm, home):
    """Users without a folder of their own find its kernels, and so do those with an empty one."""
    shutil.copytree(warm.cache, warm.package / "__pycache__" / "kernels")
    (warm.folder / "file").write_text("")
    there = {"XDG_CACHE_HOME": str(warm.folder / home), "FREEHINT_CACHE_DIR": ""}
    process = warm.begin(READ_ONLY + CALL, **there)
    out, errors = process.communicate()
    assert (out.split(), errors) == ([*RIGHT, "0", "3", "0"], "")


def test_only_old_folders_of_kernels_are_removed(tmp_path):
    old, now = 0.0, UNUSED_S * 2.0
    folders = {}
    for name, used, content in (
        ("0123456789abcdef", old, "a.kernel"),
        ("1123456789abcdef", now, "a.kernel"),
        ("2123456789abcdef", old, "thesis.txt"),  # not ours
        ("notes", old, "a.kernel"),
        ("3123456789abcdef", old, "a.kernel"),  # in use
    ):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        (folders[name] / content).write_text("")
        os.utime(folders[name], (used, used))
    assert prune(folders["3123456789abcdef"], now) == [folders["0123456789abcdef"]]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(list(folders)[1:])


def test_a_file_gives_only_what_it_was_kept_for(tmp_path):
    path = tmp_path / "x.kernel"
    write_whole(path, ("a", 1), "code")
    assert read_whole(path, ("a", 1)) == "code"
    assert read_whole(path, ("a", 2)) is None
    assert read_whole(tmp_path / "none", ("a", 1)) is None


class Planted:
    """Unpickling it executes."""

    executed = False

    def __reduce__(self):
        return setattr, (Planted, "executed", True)


def test_nothing_is_unpickled_before_the_key_is_compared(tmp_path):
    path = tmp_path / "x.kernel"
    write_whole(path, ("a", 1), Planted())
    assert read_whole(path, ("a", 2)) is None and not Planted.executed
    read_whole(path, ("a", 1))
    assert Planted.executed


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_loaded(tmp_path, mode):
    path = tmp_path / "x.kernel"
    write_whole(path, ("a", 1), "code")
    path.chmod(mode)
    assert read_whole(path, ("a", 1)) is None


def told(small, **changed) -> tuple:
    """What a start prints, and the one sentence that it is told."""
    process = small.begin("import warnings\nwarnings.simplefilter('default')\n" + CALL, **changed)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.split(), [line for line in errors.splitlines() if "RuntimeWarning" in line]


def test_folders_are_made_for_this_user_alone(warm):
    made = [warm.cache, *(one for one in warm.cache.rglob("*") if one.is_dir())]
    assert len(made) == 2 and {one.stat().st_mode & 0o777 for one in made} == {0o700}


def test_a_folder_that_others_may_write_is_repaired_once_and_told(warm):
    folder = warm.kernels()[0].parent
    folder.chmod(0o777)
    out, sentences = told(warm)
    assert out == [*RIGHT, "0", "3", "0"] and folder.stat().st_mode & 0o777 == 0o700
    assert len(sentences) == 1 and f"{folder}: other users could write to this" in sentences[0]
    assert told(warm) == ([*RIGHT, "0", "3", "0"], [])


def test_a_place_with_other_things_keeps_its_mode_and_is_refused(small):
    small.cache.mkdir()
    small.cache.chmod(0o777)
    (small.cache / "thesis.txt").write_text("")
    out, sentences = told(small)
    assert out == [*RIGHT, "3", "0", "0"] and small.cache.stat().st_mode & 0o777 == 0o777
    assert len(sentences) == 1
    assert f"{small.cache}: can be written by other users (mode 777), so no" in sentences[0]


def test_in_a_place_with_the_sticky_bit_a_folder_of_ones_own_is_enough(small):
    small.cache.mkdir()
    small.cache.chmod(0o1777)
    assert told(small) == ([*RIGHT, "3", "0", "0"], [])
    assert small.cache.stat().st_mode & 0o7777 == 0o1777
    assert told(small) == ([*RIGHT, "0", "3", "0"], [])


# A process cannot be another user here, so its files are said to belong to somebody else.
STRANGER = """
import os
os.geteuid = lambda: {user}
"""


def test_a_strangers_folder_is_refused_and_roots_is_accepted(warm):
    mine = os.geteuid()
    code = STRANGER.format(user=mine + 1) + "import warnings\nwarnings.simplefilter('default')\n"
    process = warm.begin(code + CALL)
    out, errors = process.communicate()
    if mine == 0:  # the files are root's
        assert (out.split(), errors) == ([*RIGHT, "0", "3", "0"], "")
    else:
        assert out.split() == [*RIGHT, "3", "0", "0"]
        assert f"{warm.cache}: belongs to user {mine}, so no compiled kernels" in errors


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_roots_process_does_not_load_what_another_user_wrote(warm):
    for one in [warm.cache, *warm.cache.rglob("*")]:
        os.chown(one, 1234, -1)
    out, sentences = told(warm)
    assert out == [*RIGHT, "3", "0", "0"]
    assert len(sentences) == 1 and f"{warm.cache}: belongs to user 1234, so no" in sentences[0]


def test_an_edit_where_no_kernel_imports_recompiles_nothing(warm):
    """The hash covers what the modules with kernels import, and nothing else."""
    (warm.package / "words.py").write_text("# Other words.\nfrom freehint.two import two\n")
    assert warm.call() == [0, 3, 0]
    (warm.package / "one.py").write_text(ONE + "# An edit of a callee.\n")
    assert warm.call() == [3, 0, 0]


def test_every_kernel_is_hashed_and_replay_prose_is_not():
    sources = Sources()
    hashed = set(sources.closure(sources.with_kernels()))
    users = {name for name, text in sources.texts.items() if b"\n@kernel" in text}
    assert users and users <= hashed
    for name in ("freehint.replay.validate", "freehint.runs.provenance", "freehint.studies.thread"):
        assert name in sources.files and name not in hashed


def test_a_row_of_a_sweep_is_decided_by_plain_python_too():
    """Its summary is no kernel, yet an edit of it must not go on with an older table."""
    sources = Sources()
    rows = sources.closure(["freehint.sweeps.one_run"])
    before = sources.digest(rows)
    assert "freehint.runs.summary" in rows and "freehint.figures" not in rows
    sources.texts["freehint.runs.summary"] += b"# another sum"
    assert sources.digest(rows) != before


def test_imports_are_read_as_python_reads_them():
    """The pattern finds what the syntax tree has, in every module of the package."""
    sources = Sources()
    for module in sources.files:
        assert sources.imports(module) == imports_of(module, sources.files), module


def test_warm_compiles_what_runs_need(capfd):
    """After it, a run finds every kernel on disk."""
    assert main(["warm"]) == 0
    told = capfd.readouterr().out
    assert "compiled" in told and "the event loop" in told
    code = (
        "import freehint as fh; from freehint.jit.cache import COUNTS;"
        "fh.simulate(fh.Scenario(memory='64MiB', migration=fh.MigrationConfig()));"
        "fh.replay(fh.data('linux-6.1/traces/idle20'), 'pcp', 'probes');"
        "print(COUNTS.compiled, COUNTS.found > 5)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_warm_says_where_it_could_not_keep_kernels(tmp_path):
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "FREEHINT_CACHE_DIR": str(tmp_path / "file" / "below")}
    command = [sys.executable, "-m", "freehint", "warm"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "file" / "below") in done.stderr
