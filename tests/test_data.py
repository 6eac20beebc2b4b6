"""The sample recordings: complete, unaltered, and found from wherever the package runs."""

import hashlib
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import freehint as fh
from freehint.data import data
from lab import open_offline

ROOT = Path(__file__).parent.parent
MANIFEST = "MANIFEST.sha256"


def test_manifest_lists_exactly_the_files_there_are():
    listed = dict(
        reversed(line.split("  ", 1))
        for line in (ROOT / "data" / MANIFEST).read_text().splitlines()
    )
    found = {
        path.relative_to(ROOT / "data").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / "data").rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    assert listed == found
    assert list(listed) == sorted(listed)


@pytest.mark.parametrize(
    "name",
    [
        *("linux-6.1/snapshots/snap4g.T0", "linux-6.1/snapshots/snap4g", "linux-6.1/traces/frag"),
        *("linux-6.12/traces/frag", "linux-6.12/hints/freed.T1"),
    ],
)
def test_a_stem_is_what_the_files_of_a_recording_share(name):
    stem = data(name)
    assert stem == ROOT / "data" / name
    assert not stem.exists()
    assert list(stem.parent.glob(stem.name + ".*"))


def test_files_and_folders():
    assert data("linux-6.1/migration/migrations.csv").is_file()
    assert data(Path("linux-6.1/hints/")).is_dir()
    assert data("linux-6.12/reporting/fpr.rss.csv").is_file()


def test_recordings_of_6_12_are_whole():
    parts = [f"{t}.{p}" for t in ("T0", "T1") for p in ("freelist", "pcp", "pageblock")]
    names = {
        "traces": ("idle20", "forkbulk", "cache", "frag"),
        "hints": ("freed", "freed_off", "frag_off"),
        "reporting": ("fpr",),
    }
    beside = {"traces": "info.json.gz", "hints": "migration.json.gz", "reporting": "info.json.gz"}
    for folder, recordings in names.items():
        found = {path.name for path in data(f"linux-6.12/{folder}").iterdir()}
        wanted = {f"{n}.{p}.parquet" for n in recordings for p in (*parts, "trace")}
        wanted |= {f"{n}.{t}.meta.json" for n in recordings for t in ("T0", "T1")}
        wanted |= {f"{n}.{beside[folder]}" for n in recordings}
        assert found - {"fpr.rss.csv"} == wanted


@pytest.mark.parametrize("name", ["", "..", "../README.md", "/etc", "linux-6.1/snapshots/snap4"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(FileNotFoundError) as failure:
        data(name)
    assert repr(name) in str(failure.value)


@pytest.mark.parametrize(
    "name", ["snap4g.T0", "linux-6.1/snapshot/snap4g.T0", "linux-6.1/snap4g.T0"]
)
def test_the_refusal_names_the_closest(name):
    with pytest.raises(FileNotFoundError, match=r"closest are .*linux-6\.1/snapshots/snap4g\.T0'"):
        data(name)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (path,) = folder.glob("freehint-*.whl")
    return path


def test_wheel_holds_the_package_the_recordings_and_the_report(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {path.relative_to(ROOT / "data").as_posix() for path in (ROOT / "data").rglob("*.*")}
    shipped = {name for name in shipped if (ROOT / "data" / name).is_file()}
    assert {f"freehint/_data/{name}" for name in shipped} <= names
    kept = {"freehint/py.typed", "freehint/_notebooks/report.ipynb", "freehint/_docs/model.md"}
    assert kept <= names
    module = (ROOT / "freehint" / "record" / "module").iterdir()
    assert {f"freehint/record/module/{path.name}" for path in module} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"freehint"}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a program with the installed wheel, in an empty folder outside the checkout."""
    site = tmp_path_factory.mktemp("installed") / "site"
    pip("install", "--no-deps", "--target", site, wheel)
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=elsewhere,
            env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.site, run.folder = site, elsewhere
    return run


def test_installed_wheel_finds_its_own_recordings(installed):
    program = "import freehint as fh; print(fh.data('linux-6.1/snapshots/snap4g.T0.meta.json'))"
    found = Path(installed("-c", program).strip())
    assert found.is_relative_to(installed.site / "freehint" / "_data")
    assert found.read_bytes() == data("linux-6.1/snapshots/snap4g.T0.meta.json").read_bytes()


def test_installed_wheel_runs_the_tour(installed):
    tour = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(tour) >= 3
    code = "\n".join(tour)
    some = 'fh.verdicts([1, 2], ["restart and cursor", "five steps"])'
    for long, short in (("fh.verdicts()", some), ("range(20)", "range(2)")):
        assert code.count(long) == 1
        code = code.replace(long, short)
    # Worker processes import the script anew.
    script = installed.folder / "tour.py"
    body = textwrap.indent(code, "    ")
    script.write_text(f"if __name__ == '__main__':\n{body}\n    print(fh.__file__)\n")
    *_, where = installed(script).splitlines()
    assert Path(where).is_relative_to(installed.site)
    assert fh.Run.load(installed.folder / "out" / "v24").summary["hinted_pages"] > 0
    assert (installed.folder / "runs.parquet").is_file()


def test_installed_wheel_reports_a_run_with_its_player(installed):
    (installed.folder / "small.toml").write_text('memory = "64MiB"\nduration_ns = 10_000_000\n')
    installed("-m", "freehint", "report", "small.toml", "-o", "run.html")
    shown = open_offline(installed.folder / "run.html", "run_report_wheel")
    assert (shown.requests, shown.errors) == ([], [])
    assert "Physical memory" in shown.text and "What does v24 tell the host" in shown.text


def pip(*arguments) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
