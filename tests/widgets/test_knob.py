"""Knobs: positions, defaults, and what they say of themselves."""

import pytest

import freehint as fh
from freehint.config import InputError
from freehint.inputs.rules import rules_of
from freehint.widgets import KnobPanel
from freehint.widgets.knobs.facts import SENTENCES, attributes_of, facts_of
from freehint.widgets.knobs.knob import BUTTONS, DROPDOWN, SLIDER, Knob, knob_of
from freehint.widgets.lab_knobs import FIELDS
from freehint.widgets.scenario import KNOBS

EVERY_FIELD = dict.fromkeys([*FIELDS.values(), *(field for field, _ in KNOBS.values())])


def test_value_and_index_go_together():
    knob = Knob("ring", (("8", 8), ("16", 16)), 16, default=8)
    assert (knob.index, knob.label, knob.default) == (1, "16", 0)
    knob.index = 0
    assert knob.value == 8
    knob.value = 16
    assert knob.index == 1
    knob.index = 99  # as from a page that is out of step
    assert knob.value == 16


def test_a_value_between_the_positions_is_refused():
    knob = Knob("ring", (8, 16), 8)
    with pytest.raises(InputError, match="ring must be one of 8, 16, got 9"):
        knob.value = 9
    assert knob.value == 8
    with pytest.raises(InputError, match="ring must be one of 8, 16, got 4"):
        Knob("ring", (8, 16), 4)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (range(9), SLIDER),
        ((("never", -1), ("3", 3)), SLIDER),
        (("lose", "stop", "wait"), BUTTONS),
        ((("no", False), ("yes", True)), BUTTONS),
        (tuple(fh.POLICIES), DROPDOWN),
        (("never", "each_report", "on_exit and then some"), DROPDOWN),
    ],
)
def test_words_are_chosen_and_numbers_slide(options, kind):
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    assert Knob("knob", options, first).kind == kind


@pytest.mark.parametrize("field", EVERY_FIELD)
def test_every_knob_explains_itself_in_one_sentence(field):
    words = facts_of(field).explanation
    assert words.endswith(".") and words[0].isupper() and 10 < len(words) < 130, words
    assert "See above" not in words


def test_what_a_knob_says_is_what_its_docstring_says():
    for kind, name in ((fh.HostConfig, "host.kick_ns"), (fh.Scenario, "seed")):
        words = facts_of(name).explanation.rstrip(".")
        assert words in " ".join(kind.__doc__.split())
    assert facts_of("policy.lock").explanation.startswith("How much is walked under one hold")
    assert SENTENCES.keys() <= set(EVERY_FIELD)
    assert facts_of("ring.size").rule == rules_of(fh.RingConfig)["size"]
    text = "A b.\n\nAttributes\n----------\na, b : int\n    One of two.\n    More.\n\n"
    text += "Notes\n-----\nc : d\n"
    assert attributes_of(text) == {"a": "One of two. More.", "b": "One of two. More."}


def test_a_further_position_finds_its_place():
    knob = Knob("away", (("1 ms", 10), ("3 ms", 30)), 30, default=10)
    knob.offer(20)
    assert knob.labels == ["1 ms", "2 ms", "3 ms"]
    assert (knob.value, knob.index, knob.default) == (30, 2, 0)
    knob.value = 20
    assert knob.label == "2 ms"


def test_the_default_is_marked():
    knob = knob_of("ring.size", "ring size", (64, 1024), 64)
    assert (knob.options[knob.default], knob.unit) == (1024, "buffers")
    assert knob_of("ring.size", "ring size", (64, 128), 64).default == 0
    bench = fh.widgets.Lab(fh.Scenario(memory="64MiB", duration_ns=30_000_000))
    assert bench.knobs["lock"].options[bench.knobs["lock"].default] == "per_list"
    bench.knobs["policy"].value = "hold_the_lock"
    lock = bench.knobs["lock"]
    assert lock.options[lock.default] == "whole_walk" == lock.value


def test_every_panel_has_knobs_of_one_kind():
    panels = (fh.widgets.ThreadExample(), fh.widgets.BlockKnobs())
    for panel in panels:
        assert isinstance(panel, KnobPanel)
        assert all(isinstance(knob, Knob) and knob.help for knob in panel.knobs.values())
