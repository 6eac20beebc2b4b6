"""The benchmark of another commit and this one in turn."""

import pytest

from benchmarks import in_turn


def test_a_ratio_is_the_other_commits_time_over_this_ones(tmp_path, monkeypatch):
    checkouts = [tmp_path / "other", tmp_path / "own"]
    for checkout, seconds in zip(checkouts, (3.0, 2.0)):
        checkout.mkdir()
        (checkout / "mark.py").write_text(f"SECONDS = {seconds}\n")
    monkeypatch.setitem(in_turn.ROWS, "mark", "import mark; print(mark.SECONDS)")
    caches = [str(tmp_path)] * 2
    assert in_turn.ratios("mark", checkouts, caches, 2).tolist() == [1.5, 1.5]


def test_a_folder_without_a_checkout_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        in_turn.main([str(tmp_path)])
    assert end.value.code == 2
    assert f"folder '{tmp_path}': no checkout of freehint is there" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        in_turn.main([str(in_turn.HERE), "--rounds", "0"])
    assert "--rounds 0: must be at least 1" in capsys.readouterr().err
