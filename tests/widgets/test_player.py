"""The player as a widget, and in a browser: in a file opened without a network."""

import base64

import nbformat
import pytest
from traitlets import TraitError

import freehint as fh
from freehint.config import InputError
from freehint.reports.notebook import render
from freehint.studies.thread_run import thread_trajectory
from freehint.widgets import Player, in_step, save_player
from freehint.widgets.player.html import player_html
from lab import MOMENT, PLAYER, chromium, new_page, open_offline


@pytest.fixture(scope="module")
def eight():
    return thread_trajectory()


def test_state_and_picture(eight):
    player = Player(eight, moment=3)
    assert player.payload == eight.to_bytes()
    player.moment = 10_000
    assert player.moment == len(eight) - 1
    wrong = {"moment": -1, "speed": 0, "zoom": 0.5, "lens": "rainbow", "window_ns": [2, 1]}
    for name, value in wrong.items():
        with pytest.raises(TraitError):
            setattr(player, name, value)
    data, _ = player._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    last = base64.b64decode(data["image/png"])
    player.moment = 0
    first = base64.b64decode(player._repr_mimebundle_()[0]["image/png"])
    assert last.startswith(b"\x89PNG") and first != last
    with pytest.raises(InputError, match="trajectory must be a Trajectory"):
        Player(8)
    with pytest.raises(InputError, match="must be a schedule that freehint explore printed"):
        Player("eight blocks")


def test_moment_and_time_follow_each_other(eight):
    times = eight.arrays["time_ns"]
    player = Player(eight, moment=3)
    assert player.time_ns == times[3]
    player.time_ns = times[20] - 1
    assert player.moment == 19
    player.moment = 7
    assert player.time_ns == times[7]
    shorter = fh.record(fh.Scenario(memory="64MiB", duration_ns=10_000_000), 11)
    player.time_ns = 5_500_000.0
    player.show(shorter)
    assert (player.moment, player.time_ns) == (5, 5_500_000.0)
    player.time_ns = 1e12
    assert player.moment == 10


def test_players_in_step_have_one_time(eight):
    one, other = Player(eight, moment=9, lens="type"), Player(eight)
    box = in_step(one, other)
    assert box.children == (one, other)
    assert (other.time_ns, other.moment, other.lens) == (one.time_ns, 9, "type")


def test_the_player_plays_from_disk(tmp_path, eight):
    path = save_player(eight, tmp_path / "player.html", moment=4, speed=60)
    with chromium() as browser:
        offline = open_offline(path, "player_offline", browser)
        assert (offline.requests, offline.errors) == ([], [])
        assert "eight blocks" in offline.text and "moment 5 of" in offline.text
        page = new_page(browser, offline=True)
        page.goto(path.as_uri())
        page.wait_for_selector(PLAYER)
        page.locator(PLAYER).focus()
        page.keyboard.press(" ")
        page.wait_for_function(f"{MOMENT} === {len(eight) - 1}")


def test_the_player_in_a_rendered_report(tmp_path, eight):
    """As HTML it plays there; as a widget it is its picture."""
    html, picture = player_html(eight), Player(eight)._repr_mimebundle_()
    outputs = [
        nbformat.v4.new_output("display_data", data={"text/html": html}),
        nbformat.v4.new_output("display_data", data=picture[0]),
    ]
    cell = nbformat.v4.new_code_cell("player", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "report.ipynb")
    path = tmp_path / "report.html"
    path.write_text(render(tmp_path / "report.ipynb"))
    offline = open_offline(path, "player_report")
    assert (offline.requests, offline.errors) == ([], [])
    assert "Physical memory" in offline.text
    assert picture[0]["image/png"] in path.read_text()


def test_two_players_on_one_page(tmp_path, eight):
    path = tmp_path / "two.html"
    other = thread_trajectory(rotate="never", resume="cursor")
    path.write_text(player_html(eight, moment=0) + player_html(other, moment=0, lens="type"))
    with chromium() as browser:
        page = new_page(browser)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_function(f"document.querySelectorAll('{PLAYER}').length === 2")
        page.locator(PLAYER).nth(1).focus()
        page.keyboard.press("ArrowRight")
        moments = page.evaluate(
            f"[...document.querySelectorAll('{PLAYER}')].map((p) => +p.dataset.moment)"
        )
        assert moments == [0, 1] and errors == []


def test_what_cannot_be_written_is_named(tmp_path, eight):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_player(eight, tmp_path / "file" / "player.html")


def test_a_scenario_without_users_plays(tmp_path):
    seen = fh.record(fh.Scenario(memory="64MiB", policy="none", duration_ns=5_000_000), 5)
    offline = open_offline(save_player(seen, tmp_path / "none.html"), "player_none")
    assert offline.errors == [] and "Physical memory" in offline.text
