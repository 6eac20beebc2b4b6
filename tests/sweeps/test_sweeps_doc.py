"""docs/sweeps.md: its examples run, and its file is a sweep's."""

import re
from pathlib import Path

from freehint.sweeps.file import read_sweep

TEXT = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python"):
        exec(block, names)
    assert (tmp_path / "runs.parquet").is_file()
    assert names["found"].trials["trial"].tolist() == list(range(12))


def test_the_file_is_a_sweeps(tmp_path):
    (toml,) = blocks("toml")
    (tmp_path / "sweep.toml").write_text(toml)
    found = read_sweep(str(tmp_path / "sweep.toml"))
    assert (found.runs, found.out, found.scheduler) == (384, "runs", "processes")
    assert found.design.kind == "sobol" and list(found.design.factors) == ["ring.size", "policy"]


def test_the_page_says_whom_a_cluster_trusts():
    section = TEXT.partition("## On a cluster")[2].partition("## Kills")[0]
    assert "`tcp://` trusts everybody who can reach it." in section and "ssh -L" in section
