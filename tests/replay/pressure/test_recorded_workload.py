"""What a prediction takes from a recording's workload: settings before T0, and the balloon."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import freehint as fh
from freehint.replay.pressure.predict import balloon_commands, model_jobs, settings_before


def test_settings_before_t0_become_parameters_and_others_do_not_matter():
    before = [
        *("sysctl overcommit_memory 1", "sysctl swappiness 100", "sysctl dirty_ratio 40"),
        *("thp enabled always", "thp defrag defer", "fork 2", "hold 280", "swapon"),
    ]
    found = settings_before(before, "x.info.json.gz")
    wanted = {"swappiness": 100, "dirty_ratio": 40, "huge_pages": True, "thp_defrag": "defer"}
    assert found == wanted | {"held_MiB": 280}
    guest = fh.UnderPressure(**found)
    assert guest.huge_pages and guest.held_MiB == 280
    assert settings_before(["thp enabled madvise", "defrag always"], "x") == {"huge_pages": False}


@pytest.mark.parametrize("job", ["sysctl swappiness", "sysctl swappiness many"])
def test_a_setting_without_a_number_is_refused(job):
    with pytest.raises(fh.InputError, match=f"x.info.json.gz: field 'pre': '{job}' is not"):
        settings_before([job], "x.info.json.gz")


def measured(mem, *steps):
    """A recording of which only the steps (begin_s, job) and the memory are known."""
    table = pd.DataFrame(steps, columns=["begin_s", "job"])
    return SimpleNamespace(stem=Path("x"), info={"mem": mem}, steps=table)


def test_the_hosts_balloon_becomes_commands_at_the_times_of_its_steps():
    recording = measured("384M", (0.0, "fork 1"), (0.5, "balloon 192 60"), (2.25, "balloon 384"))
    at = balloon_commands(recording)
    assert at == "0.500000 balloon 192; 2.250000 balloon 0"
    assert fh.Control(at=at).given_at == ("balloon", "balloon")
    assert model_jobs("balloon 384") == ["balloon 384 60"]
    assert balloon_commands(measured("384M", (0.0, "fork 1"))) == "none"


def test_a_balloon_needs_to_know_the_guests_memory():
    with pytest.raises(fh.InputError, match="field 'mem' must be MiB and M, got '2G'"):
        balloon_commands(measured("2G", (0.0, "balloon 192 60")))
