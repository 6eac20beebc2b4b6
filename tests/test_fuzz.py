"""A short form of ``make fuzz``, and faults planted for its judge to find."""

import os
import time
import warnings

import pytest

from freehint import InputError, InvariantError
from fuzz import Fuzz, run_chunk
from fuzzing.judge import CLASSES, CRASH, FINDINGS, HANG, SILENT, TRACEBACK, require
from fuzzing.loaders import LOADERS, Loader, Room, Values, input_of, seeds_of

SEED = 17
FEW = {"zoo": 8, "run": 15, "reproduction": 10, "migrations": 15, "trace-text": 20}


@pytest.mark.parametrize("name", LOADERS)
def test_inputs_are_refused_in_one_sentence_or_sound(name):
    found, counts = [], [0] * len(CLASSES)
    inputs = FEW.get(name, 40)
    run_chunk(SEED, name, range(inputs), [0, 0], counts, lambda *one: found.append(one))
    assert sum(counts) == inputs
    assert not found


@pytest.mark.parametrize("name", [n for n, one in LOADERS.items() if isinstance(one, Loader)])
def test_every_seed_is_accepted(name):
    with Room() as room, warnings.catch_warnings():
        warnings.simplefilter("error")
        for at in range(len(seeds_of(LOADERS[name]))):
            verdict = room.judge(input_of(SEED, name, 0)._replace(seed=at, files={}, name=None))
            assert (verdict.kind, verdict.text) == ("accepted", "")


def test_an_input_follows_from_seed_loader_and_number_alone():
    for name in ("snapshot", "run", "scenario", "set"):
        assert repr(input_of(3, name, 5)) == repr(input_of(3, name, 5))
        assert repr(input_of(3, name, 5)) != repr(input_of(3, name, 6))


# Planted faults.


def nothing(value):
    return value


def drawn(stream):
    return stream.randrange(1000), ("value",)


def raises(error):
    def load(value):
        raise error

    return load


def honest(value):
    if value % 2:
        raise InputError(f"value must be even, got {value}")
    return value


def unsound(value, folder):
    require(False, "it is another one after saving")


def sound(value, folder):
    require(value % 2 == 0, "it is odd")


def planted() -> dict:
    """One loader with each fault, and an honest one."""
    files = [{"a.json": b'{"a": 12345}'}]
    return {
        "honest": Values(drawn, honest, sound),
        "raises": Values(drawn, raises(KeyError("a")), sound),
        "two lines": Values(drawn, raises(InvariantError("value\nis odd")), sound),
        "nameless": Values(drawn, raises(InputError("it is odd")), sound),
        "takes everything": Loader(
            lambda: files,
            lambda path, _: path,
            lambda path, folder: require(path.read_bytes() in files[0].values(), "it is damaged"),
            change=lambda files, stream: {"a.json": b"{"},
        ),
        "unsound": Values(drawn, nothing, unsound),
        "hangs": Values(drawn, lambda value: time.sleep(60), sound),
        "dies": Values(drawn, lambda value: os._exit(7), sound),
    }


FAULTS = {
    "raises": TRACEBACK,
    "two lines": TRACEBACK,
    "nameless": TRACEBACK,
    "takes everything": SILENT,
    "unsound": SILENT,
    "hangs": HANG,
    "dies": CRASH,
}


def test_planted_faults_are_found_kept_and_counted_and_a_second_call_goes_on(tmp_path):
    wanted = {"honest": 30} | dict.fromkeys(FAULTS, 1) | {"raises": 9}
    fuzz = Fuzz(SEED, tmp_path, wanted, planted, hang_s=1, workers=1)
    fuzz.run()
    for name, kind in FAULTS.items():
        assert fuzz.counts[name][kind] == wanted[name] == fuzz.counts[name].total(), name
    assert fuzz.counts["honest"]["refused"] + fuzz.counts["honest"]["accepted"] == 30
    assert fuzz.findings == 15
    kept = sorted(path.name for path in (tmp_path / "traceback").iterdir())
    assert kept == ["nameless-0", "raises-0", "raises-1", "raises-2", "two lines-0"]
    assert "KeyError: 'a'" in (tmp_path / "traceback" / "raises-0" / "what.txt").read_text()
    assert (tmp_path / "hang" / "hangs-0" / "value.txt").read_text().isdigit()
    assert (tmp_path / "silent-acceptance" / "takes everything-0" / "input").is_dir()

    again = Fuzz(SEED, tmp_path, {"honest": 30, "raises": 9}, planted, workers=1)
    again.resume()
    assert again.counts["raises"] == fuzz.counts["raises"]
    assert not any(again.left.values())
    more = Fuzz(SEED, tmp_path, {"honest": 50}, planted, workers=1)
    more.resume()
    assert more.left == {"honest": [[30, 50]]}


def test_what_runs_when_a_call_ends_is_left_for_the_next(tmp_path):
    fuzz = Fuzz(SEED, tmp_path, {"honest": 500}, planted, workers=1)
    fuzz.save([fuzz._next_chunk()])
    again = Fuzz(SEED, tmp_path, {"honest": 500}, planted, workers=1)
    again.resume()
    assert again.left == {"honest": [[0, 200], [200, 500]]}
    other = Fuzz(SEED + 1, tmp_path, {"honest": 500}, planted, workers=1)
    with pytest.raises(SystemExit, match="is of seed 17"):
        other.resume()


def test_every_class_of_findings_is_in_the_table():
    fuzz = Fuzz(SEED, None, {"honest": 1}, planted)
    head, row, total = fuzz.table().splitlines()
    assert all(kind in head for kind in FINDINGS)
    assert row.split()[0] == "honest" and total.split()[0] == "all"
