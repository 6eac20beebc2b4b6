"""Every listed bug can be planted, and only a test that fails finds it."""

from dataclasses import replace

import pytest

from mutants import ROOT, MutantError, look, node_ids, planted, read_list, require_sound

LISTED = read_list()
ONE = LISTED[0]


def test_every_bug_can_be_planted_and_its_tests_are_there():
    assert len(LISTED) >= 25 and len({one.name for one in LISTED}) == len(LISTED)
    for mutant in LISTED:
        path, text = planted(mutant)
        assert text != (ROOT / path).read_text()
        assert node_ids(mutant) and mutant.breaks


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"old": "no such text"}, "must stand once in a definition .*, and stands there 0 times"),
        ({"old": "e"}, "and stands there [0-9]{2,} times"),
        ({"definition": "nobody"}, "and stands there 0 times"),
        ({"tests": ["test_nothing"]}, "'test_nothing' must name one test, and names 0"),
    ],
)
def test_an_entry_that_cannot_be_used_is_one_sentence(change, sentence):
    mutant = replace(ONE, **change)
    with pytest.raises(MutantError, match=f"{ONE.name}: .*{sentence}"):
        planted(mutant), node_ids(mutant)


@pytest.fixture
def house(tmp_path):
    """A house with one file of the package, and the first entry's test that does as it is told."""

    def built(does):
        path, name = node_ids(ONE)[0].split("::")
        for folder in (tmp_path / path, tmp_path / planted(ONE)[0]):
            folder.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"def {name}():\n    {does}\n")
        return tmp_path

    return built


def test_a_test_that_fails_anyhow_finds_nothing(house, tmp_path):
    require_sound([ONE], house("pass"), tmp_path)
    with pytest.raises(MutantError, match=f"with no bug planted .*{ONE.tests[0]}"):
        require_sound([ONE], house("assert False"), tmp_path)


@pytest.mark.parametrize("does", ["pass", "assert False", "syntax error"])
def test_a_bug_is_found_where_a_test_fails(house, tmp_path, does):
    found_by, _ = look(ONE, house(does), tmp_path)
    assert bool(found_by) == (does == "assert False")
    own = planted(ONE)[0]
    assert (tmp_path / own).read_text() == (ROOT / own).read_text()
