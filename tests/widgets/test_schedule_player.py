"""The player of schedules, from a file and in a rendered report, without a network."""

import json

import nbformat
import pytest
from traitlets import TraitError

import freehint as fh
from freehint.config import InputError
from freehint.reports.notebook import render
from freehint.safety.told.moments import Moments
from freehint.widgets import SchedulePlayer, save_player
from lab import PLAYER, chromium, open_offline

# docs/safety.md has both: a lost write, and a page that a discarding host destroys.
LOST = "five_step,generation=G3,initially_set=True:004050200b20020330414141"
DESTROYED = (
    "five_step,generation=G1,initially_set=True,discard=True,operations=4:004050200b20020330"
)
STEP = "document.querySelector('.fh-player').dataset.step"


def pages_at(moment: dict) -> dict:
    """Page -> (owner, its last write, the write at the destination)."""
    return {
        page["page"]: (page["owner"], page["written"], page["sent"]) for page in moment["pages"]
    }


def test_each_moment_has_every_page_its_owner_and_its_writes():
    told = Moments(LOST).payload()
    first, *_, last = told["moments"]
    assert len(told["moments"]) == 13 and set(pages_at(first).values()) == {("free", 0, 0)}
    (hurt,) = told["hurt"]
    assert pages_at(last)[hurt] == ("vCPU 0", 1, 0) and last["breaks"].startswith("P1: ")
    assert not any(moment["breaks"] for moment in told["moments"][:-1])
    owners = {page["owner"] for moment in told["moments"] for page in moment["pages"]}
    assert owners == {"free", "held", "vCPU 0"}
    hints = [[one["hint"] for one in moment["ring"]] for moment in told["moments"]]
    assert hints[0] == ["", ""] and any(any(now) for now in hints)
    to_send = [sum(page["to_send"] for page in moment["pages"]) for moment in told["moments"]]
    begun = [at for at, moment in enumerate(told["moments"]) if "begins, with" in moment["step"]]
    assert to_send[: begun[0]] == [0] * begun[0] and to_send[begun[0]] == 8
    assert all(words for moment in told["moments"] for _, words in moment["lists"])


def test_a_destroyed_page_is_the_one_that_was_written():
    told = Moments(DESTROYED).payload()
    before, last = told["moments"][-2:]
    (hurt,) = told["hurt"]
    assert pages_at(before)[hurt][1] == 1 and pages_at(last)[hurt][1] == 0


def test_a_schedule_without_a_violation_plays_too():
    player = fh.Player("v24:4050", step=7)
    assert isinstance(player, SchedulePlayer) and (player.step, player.last) == (2, 2)
    assert json.loads(player.payload)["hurt"] == []
    with pytest.raises(TraitError):
        player.speed = 0
    with pytest.raises(InputError, match="must be a schedule that freehint explore printed"):
        fh.Player("v24")
    with pytest.raises(InputError, match="schedule must be a schedule or an Exploration"):
        SchedulePlayer(5)


def test_it_plays_from_disk_by_keyboard(tmp_path):
    path = save_player(LOST, tmp_path / "schedule.html", speed=4)
    with chromium() as browser:
        offline = open_offline(path, "schedule_offline", browser)
        assert (offline.requests, offline.errors) == ([], [])
        page = browser.new_context(offline=True).new_page()
        page.goto(path.as_uri())
        page.wait_for_selector(PLAYER)
        page.locator(PLAYER).focus()
        assert page.locator(".fh-steps li").count() == 13
        assert not page.locator(".fh-broken").is_visible()
        for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"):
            page.keyboard.press(key)
        assert page.evaluate(STEP) == "2"
        page.keyboard.press(" ")
        page.wait_for_function(f"{STEP} === '4'")
        page.keyboard.press(" ")
        page.locator(".fh-steps li").nth(11).click()
        assert page.evaluate(STEP) == "11" and page.locator(".fh-hurt").count() == 0
        page.keyboard.press("End")
        (hurt,) = Moments(LOST).hurt()
        assert "lacks a write of the guest" in page.inner_text(".fh-broken")
        assert f"page {hurt}" in page.inner_text(".fh-broken")
        assert page.inner_text(".fh-pages th.fh-hurt") == str(hurt)
        page.keyboard.press("?")
        assert "one step back or forward" in page.inner_text(".fh-keys")
        # No word is wider than its place, on a wide page and on a narrow one.
        for width in (1300, 700):
            page.set_viewport_size({"width": width, "height": 800})
            cut = page.locator(".fh-pages th, .fh-pages td").evaluate_all(
                "(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).length"
            )
            assert cut == 0


def test_as_a_widget_it_plays_in_a_rendered_report(tmp_path):
    data, _ = SchedulePlayer(DESTROYED)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    output = nbformat.v4.new_output("display_data", data=data)
    cell = nbformat.v4.new_code_cell("player", outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "report.ipynb")
    path = tmp_path / "report.html"
    path.write_text(render(tmp_path / "report.ipynb"))
    offline = open_offline(path, "schedule_report")
    assert (offline.requests, offline.errors) == ([], [])
    assert "The guest's pages" in offline.text
