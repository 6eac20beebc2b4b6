"""freehint batch: nothing lost or repeated, mistakes refused first, failures kept and told."""

import base64
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imsave

from freehint.cli import main
from freehint.reports.batch import folder as batch_folder
from lab import chromium, new_page, open_offline

PARAMETERS = """
n = 1
word = "a"
seed = 7
log = ""  # a file to which every execution adds a line
nap = 0.0
size = 64 * 1024
names = ["x"]
"""
BODY = """
import os, time
if log:
    with open(log, "a") as file:
        file.write(f"{n} {os.getpid()}\\n")
time.sleep(nap)
def refuse(n):
    raise ValueError(f"{n} is too much" + chr(10) + "second" + " line")
if n == 3:
    [refuse(m)
     for m in [n]]
if n == 4:
    os.kill(os.getppid(), 9)
if n == 5:
    os._exit(1)
table = {"square": [n * n, -n], "word_twice": [word * 2] * 2}
"""
PICTURE = """
import base64
from IPython.display import Image
Image(base64.b64decode("%s"))
"""


def write_notebook(folder: Path, body: str = BODY, tags=()) -> Path:
    imsave(file := BytesIO(), np.tile(np.arange(1200), (600, 1)))
    picture = PICTURE % base64.b64encode(file.getvalue()).decode()
    v4 = nbformat.v4
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# A small notebook"),
            v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            v4.new_code_cell(body),
            v4.new_code_cell(picture, metadata={"tags": list(tags)}),
        ]
    )
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    path = folder / "small.ipynb"
    nbformat.write(notebook, path)
    return path


def write_batch(folder: Path, text: str, head: str = "") -> str:
    path = folder / "batch.toml"
    log = json.dumps(str(folder / "log.txt"))
    text = text.replace("LOG", f"log = {log}")
    path.write_text(f'notebook = "small.ipynb"\nout = "out"\nworkers = 2\n{head}\n{text}')
    return str(path)


def executions(folder: Path) -> Counter:
    """How often each n was run."""
    log = folder / "log.txt"
    return Counter(line.split()[0] for line in log.read_text().splitlines())


def records(folder: Path) -> list:
    # A hidden folder is a run that is not finished, and pathlib's * finds it too.
    return [json.loads(p.read_text()) for p in sorted(folder.glob("out/runs/[!.]*/run.json"))]


GRID = """
[parameters]
LOG
[grid]
n = [3, 1]
word = ["b", "<a>&"]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A batch of four runs, two of which fail: its folder, file, exit code and what it printed."""
    folder = tmp_path_factory.mktemp("{batch}")  # braces are papermill's in a path
    write_notebook(folder)
    file = write_batch(folder, GRID, 'results = "table"')
    command = [sys.executable, "-m", "freehint", "batch", file]
    done = subprocess.run(command, capture_output=True, text=True)
    return folder, file, done


def test_runs_stand_in_the_grids_order_and_each_ran_once(finished):
    folder, _, _ = finished
    given = [(r["run"], r["parameters"]["n"], r["parameters"]["word"]) for r in records(folder)]
    assert given == [(1, 3, "b"), (2, 3, "<a>&"), (3, 1, "b"), (4, 1, "<a>&")]
    assert executions(folder) == {"3": 2, "1": 2}
    assert [r["status"] for r in records(folder)] == ["failed", "failed", "done", "done"]


def test_failed_runs_are_kept_listed_and_make_exit_code_1(finished):
    folder, _, done = finished
    assert done.returncode == 1
    assert "2 done, 2 failed" in done.stdout
    first = done.stdout.splitlines()[1:5]
    assert re.fullmatch(r'run 1 \{"log": .*, "n": 3, "word": "b"\}', first[0])
    assert first[1] == "  cell 3: ValueError: 3 is too much"
    assert first[2].startswith('    > raise ValueError(f"{n} is too much"')
    assert first[3] == f"  {folder}/out/runs/0001/notebook.ipynb"
    kept = nbformat.read(folder / "out/runs/0001/notebook.ipynb", as_version=4)
    assert any(o.output_type == "error" for c in kept.cells for o in c.get("outputs", []))


def test_results_are_one_table_with_run_parameters_and_seed_first(finished):
    folder, _, _ = finished
    table = pd.read_parquet(folder / "out/results.parquet")
    assert list(table) == ["run", "parameters", "seed", "n", "word", "square", "word_twice"]
    assert table["run"].tolist() == [3, 3, 4, 4] and set(table["seed"]) == {7}
    assert table["square"].tolist() == [1, -1, 1, -1]
    assert table["word_twice"].tolist() == ["bb"] * 2 + ["<a>&<a>&"] * 2
    assert json.loads(table["parameters"][2])["word"] == "<a>&"


def test_the_kept_notebook_is_the_persons_own_and_the_parameters(finished):
    folder, _, _ = finished
    kept = nbformat.read(folder / "out/runs/0003/notebook.ipynb", as_version=4)
    assert [c.metadata.get("tags") for c in kept.cells][2] == ["injected-parameters"]
    assert len(kept.cells) == 5 and "to_parquet" not in str(kept)


def test_the_gallery_works_from_disk_without_a_request(finished):
    folder, _, _ = finished
    index, report = folder / "out/index.html", folder / "out/runs/0004/report.html"
    with chromium() as browser:
        shown = open_offline(index, "batch_gallery", browser)
        report = open_offline(report, "batch_report", browser)
    assert shown.requests == [] and shown.errors == []
    assert "cell 3: ValueError: 3 is too much" in shown.text and "second line" not in shown.text
    assert "<a>&" in shown.text
    assert report.requests == [] and report.errors == [] and "A small notebook" in report.text


def test_the_gallery_filters_and_sorts(finished):
    folder, _, _ = finished
    with chromium() as browser:
        page = new_page(browser, offline=True)
        page.goto((folder / "out/index.html").as_uri())

        def runs():
            return [h.split()[1] for h in page.locator(".run:visible h2").all_inner_texts()]

        assert runs() == ["1", "2", "3", "4"]
        assert page.locator(".run img").first.evaluate("i => i.naturalWidth") == 760
        page.select_option("#sort", "n")
        assert runs() == ["3", "4", "1", "2"]
        page.select_option("#order", "-1")
        page.select_option("[data-name=word]", "=<a>&")
        assert runs() == ["2", "4"]
        page.select_option("[data-name=status]", "=done")
        assert runs() == ["4"]
        page.click("text=show all")
        page.fill("#words", "too much")
        assert runs() == ["1", "2"]
        links = page.locator(".run a").evaluate_all("all => all.map((a) => a.href)")
        assert len(links) == 4 * 2 + 2
        assert all(Path(link.removeprefix("file://")).is_file() for link in map(_plain, links))


def _plain(address: str) -> str:
    return address.replace("%7B", "{").replace("%7D", "}")


def test_a_finished_batch_runs_nothing_again_but_failures_with_retry(finished, capsys):
    folder, file, _ = finished
    before = executions(folder)
    table = (folder / "out/results.parquet").read_bytes()
    assert main(["batch", file]) == 1
    assert executions(folder) == before
    assert main(["batch", file, "--retry"]) == 1
    assert executions(folder) == before + Counter({"3": 2})
    assert (folder / "out/results.parquet").read_bytes() == table
    assert sorted(os.listdir(folder / "out/runs")) == ["0001", "0002", "0003", "0004"]
    assert capsys.readouterr().out.count("2 done, 2 failed") == 2


def test_another_batch_is_refused_in_the_same_folder(finished, capsys):
    folder, file, _ = finished
    text, notebook = Path(file).read_text(), folder / "small.ipynb"
    for changed, name in (
        (text.replace("[3, 1]", "[3, 2]"), "parameters"),
        (text.replace('results = "table"', ""), "results"),
    ):
        other = folder / "other.toml"
        other.write_text(changed)
        assert main(["batch", str(other)]) == 2
        assert f"holds another batch, with other {name}:" in capsys.readouterr().err
    source = notebook.read_text()
    notebook.write_text(source.replace("A small", "Another"))
    assert main(["batch", file]) == 2
    assert "with other sha256 of the notebook's cells" in capsys.readouterr().err
    executed = nbformat.reads(source, as_version=4)
    executed.cells[2].execution_count = 5
    nbformat.write(executed, notebook)
    assert main(["batch", file, "--dry-run"]) == 0
    notebook.write_text(source)


def test_a_dry_run_lists_and_makes_nothing(tmp_path, capsys):
    write_notebook(tmp_path)
    assert main(["batch", write_batch(tmp_path, "[grid]\nn = [1, 3]"), "--dry-run"]) == 0
    *runs, last = capsys.readouterr().out.splitlines()
    assert [line.split(None, 2) for line in runs] == [
        ["1", "left", '{"n": 1}'],
        ["2", "left", '{"n": 3}'],
    ]
    assert last.startswith("next: freehint batch ")
    assert not (tmp_path / "out").exists()


BAD = [
    ("[grid", "batch.toml: this is not TOML"),
    ("", r"either \[grid\] or \[\[run\]\] tables, and there are neither"),
    ("[grid]\nn = [1]\n[[run]]\nn = 1", r"either \[grid\] or .*there are both"),
    ("[gird]\nn = [1]", "there is no key 'gird'.*did you mean 'grid'"),
    ("[grid]\nwrod = ['a']", "small.ipynb has no parameter 'wrod'.*did you mean 'word'"),
    ("[grid]\nn = 1", r"\[grid\]: n must be a list of values, at least one, got 1"),
    ("[grid]\nn = []", r"\[grid\]: n must be a list of values"),
    ("[grid]\nn = [1, 2, 1]", r"\[grid\]: n must have each value once"),
    (
        "[grid]\nn = [1, 2.5]",
        "value 2 of n: .*must be a whole number, as its default 1 is, got 2",
    ),
    ("[grid]\nn = [true]", "n must be a whole number, .*got True"),
    ("[grid]\nword = [1]", "word must be text, as its default"),
    ("[grid]\nnames = ['x', 'y']", "value 1 of names: .*names must be a list, .*got 'x'"),
    ("[grid]\nsize = [2020-01-01]", "size must be text, numbers"),
    ("[[run]]\nn = 1\n[[run]]\nsede = 1", r"\[\[run\]\] 2: .*'sede'.*did you mean 'seed'"),
    ("[[run]]\nn = 2\n[[run]]\nn = 2", r"\[\[run\]\] 1 and 2 are the same run"),
    ("[[run]]\nn = 1\n[[run]]\nseed = 7", r"1 and 2 are the same run, with defaults"),
    ("[parameters]\nn = 1\n[grid]\nn = [1]", r"\[grid\] has 'n', which \[parameters\] has"),
    ("[parameters]\nm = 1\n[grid]\nn = [1]", r"\[parameters\]: .*no parameter 'm'"),
    ("results = 'a b'\n[grid]\nn = [1]", "results must be the name of a variable .*got 'a b'"),
    ("thumbnail = 'no'\n[grid]\nn = [1]", "no cell of small.ipynb has the tag 'no'"),
    ("thumbnail = 0\n[grid]\nn = [1]", "thumbnail.* must be a whole number >= 1, got 0"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_mistakes_are_one_sentence_before_anything_runs(text, sentence, tmp_path, capsys):
    write_notebook(tmp_path)
    assert main(["batch", write_batch(tmp_path, text)]) == 2
    out, err = capsys.readouterr()
    assert re.search(sentence, err) and len(err.strip().splitlines()) == 1
    assert err.startswith(str(tmp_path / "batch.toml: ")) and out == ""
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_notebook_and_no_folder_are_refused(tmp_path, capsys):
    file = write_batch(tmp_path, "[grid]\nn = [1]")
    for text, sentence in ((None, "there is no such file"), ("{}", "this is no notebook")):
        if text is not None:
            (tmp_path / "small.ipynb").write_text(text)
        assert main(["batch", file]) == 2
        assert sentence in capsys.readouterr().err
    write_notebook(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.thesis").write_text("mine")
    assert main(["batch", file]) == 2
    assert "exists already and holds no batch, but .thesis" in capsys.readouterr().err


def test_a_folder_in_which_a_process_is_at_work_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(batch_folder, "PATIENCE_S", 0.2)
    write_notebook(tmp_path)
    (tmp_path / "out").mkdir()
    with (tmp_path / "out/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["batch", write_batch(tmp_path, "[grid]\nn = [1]")]) == 2
    assert "another process runs this batch" in capsys.readouterr().err


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_kill_9_loses_no_run_and_repeats_none(tmp_path, capsys):
    write_notebook(tmp_path)
    values = list(range(10, 14))
    file = write_batch(tmp_path, f"[parameters]\nLOG\nnap = 0.6\n[grid]\nn = {values}")
    command = [sys.executable, "-m", "freehint", "batch", file]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    log = tmp_path / "log.txt"
    # Two are finished, and one more is in its nap.
    while not 2 <= len(records(tmp_path)) < executions(tmp_path).total():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (tmp_path / "out/.mine").write_text("kept")
    kept = {str(r["parameters"]["n"]) for r in records(tmp_path)}
    assert main(["batch", file]) == 0
    counts = executions(tmp_path)
    assert set(counts) == set(map(str, values)) and 2 <= len(kept) < len(values)
    # What was finished ran once; of the others, the two at a time that were cut short ran again.
    assert all(counts[n] == 1 for n in kept)
    assert len(values) < sum(counts.values()) <= len(values) + 2
    assert [r["run"] for r in records(tmp_path)] == list(range(1, 5))
    assert all(r["status"] == "done" for r in records(tmp_path))
    assert not [p for p in os.listdir(tmp_path / "out/runs") if p.startswith(".")]
    assert (tmp_path / "out/.mine").exists()
    pids = [int(line.split()[1]) for line in log.read_text().splitlines()]
    assert not any(map(alive, pids))


def test_a_process_or_a_kernel_that_dies_is_a_failed_run(tmp_path, capsys):
    write_notebook(tmp_path)
    file = write_batch(tmp_path, "[[run]]\nn = 4\n[[run]]\nn = 5\n[[run]]\nword = 'c'")
    assert main(["batch", file]) == 1
    errors = [r["error"] for r in records(tmp_path)]
    assert errors[0] == "its process ended by signal 9" and "Kernel died" in errors[1]
    assert errors[2] == "" and (tmp_path / "out/runs/0001/notebook.ipynb").is_file()
    table = pd.read_parquet(tmp_path / "out/results.parquet")
    assert table.to_dict("records") == [
        {"run": 3, "parameters": '{"word": "c"}', "seed": 7, "n": 1, "word": "c"}
    ]


def test_a_variable_that_is_not_there_fails_the_run_by_name(tmp_path, capsys):
    write_notebook(tmp_path)
    assert main(["batch", write_batch(tmp_path, "[grid]\nn = [1]", 'results = "tabel"')]) == 1
    assert "results: tabel cannot be handed over: NameError" in capsys.readouterr().out
