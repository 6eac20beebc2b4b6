"""The language of jobs, and what UnderPressure refuses, each in one sentence."""

import itertools

import pytest

import freehint as fh
from freehint.engine.guest.pressure.steps import (
    COPY,
    S_KIND,
    S_PAGES,
    S_PLACE,
    S_SOURCE,
    parse_jobs,
    plan_jobs,
)

ALL = (
    "read a b; copy b c; write z 3; read c; sync; rm c; fork 1; fill 6; dirty 2 60 1.5;"
    " frag 4 50 16; drop_caches; compact_memory; reclaim 6; sleep 0.1; swapon;"
    " hold 2; release; balloon 40 1"
)
FILES = {"a": 2, "b": 3}


def plan(text):
    return plan_jobs(parse_jobs(text, FILES, "jobs"), FILES, "jobs")


def test_every_step_is_read_and_a_read_of_two_files_is_two_rows():
    found = plan(ALL)
    assert [text.split()[0] for text in found.texts[:3]] == ["read", "read", "copy"]
    assert len(found.rows) == 19
    assert found.rows[2][S_KIND] == COPY
    assert found.rows[2][S_SOURCE] == found.rows[1][S_PLACE]
    assert [row[S_PAGES] for row in found.rows[:4]] == [512, 768, 768, 768]


def test_files_have_places_of_their_own_and_frag_keeps_its_own_memory():
    found = plan("read a b; copy b c; fill 6; dirty 2 60 1; frag 4 50 16; fill 1")
    span = {
        text: (row[S_PLACE], row[S_PLACE] + row[S_PAGES])
        for text, row in zip(found.texts, found.rows, strict=True)
    }
    assert span["fill 6"][0] == span["dirty 2 60 1"][0] == span["fill 1"][0]
    apart = [span[name] for name in ("read a", "read b", "copy b c", "fill 6", "frag 4 50 16")]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(apart))
    assert apart[-1][1] <= found.places


def test_a_file_made_anew_after_rm_has_new_places():
    found = plan("copy a c; rm c; copy b c")
    assert found.rows[0][S_PLACE] == found.rows[1][S_PLACE] != found.rows[2][S_PLACE]


@pytest.mark.parametrize(
    "jobs, sentence",
    [
        ("", "workload.jobs must be a text of 1 to 100000 characters, got ''"),
        (";", "workload.jobs must have 1..1000 steps, got 0"),
        ("raed a", "workload.jobs: step 1, 'raed a', must begin with one of .*mean 'read'"),
        ("read a; read c", "step 2, 'read c', needs a file that exists then .a, b., got 'c'"),
        ("copy a", "step 1, 'copy a', must be 'copy' FILE NEW, got 1 words"),
        ("copy a b", "needs the name of a file that does not exist, got 'b'"),
        ("fill -1", "MiB must be a whole number in 1..8388608, got '-1'"),
        ("fill 1e3", "got '1e3'"),
        ("sleep nan", "S must be a number in 0.001..100000, got 'nan'"),
        ("dirty 1 2", "must be 'dirty' MiB RATE S, got 2 words"),
        ("rm a; read a", "step 2"),
        ("frag 4 101 16", "PERCENT must be a whole number in 0..100, got '101'"),
        ("fill 8000000; frag 8000000 1 1", "must use at most"),
    ],
)
def test_a_bad_step_is_one_sentence(jobs, sentence):
    with pytest.raises(fh.InputError, match=sentence) as error:
        fh.UnderPressure(jobs=jobs, files="a=2,b=3")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"files": "a"}, "workload.files: a MiB must be a whole number"),
        ({"files": "a=1,a=2"}, "must name each file once, got 'a' twice"),
        ({"files": "a b=1"}, "must be NAME=MiB"),
        ({"swap_MiB": -1}, "workload.swap_MiB must be a whole number in 0..8388608, got -1"),
        ({"swappiness": 201}, "workload.swappiness must be a whole number in 0..200, got 201"),
        ({"watermark_scale_factor": 0}, "in 1..3000, got 0"),
        ({"compaction_proactiveness": 101}, "in 0..100, got 101"),
        ({"cached": "q"}, "workload.cached must be one of a, b, got 'q'"),
        ({"without": "kswapd"}, "workload.without must be one of"),
        ({"recording": "nowhere/at_all"}, "nowhere/at_all"),
        ({"job": "fill 1"}, "UnderPressure has no parameter 'job'"),
    ],
)
def test_a_bad_value_is_one_sentence(values, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.UnderPressure(**{"jobs": "fill 1", "files": "a=1,b=1"} | values)


def test_a_cache_larger_than_memory_and_a_course_too_fine_are_refused():
    guest = fh.UnderPressure(jobs="fill 1", cache_MiB=64)
    with pytest.raises(fh.InputError, match=r"cache_MiB \+ anon_MiB must leave room"):
        fh.simulate(fh.Scenario(memory="64MiB", workload=guest))
    guest = fh.UnderPressure(jobs="fill 1", course_ns=1)
    with pytest.raises(fh.InputError, match=r"workload\.course_ns must make at most"):
        fh.simulate(fh.Scenario(memory="64MiB", workload=guest))
