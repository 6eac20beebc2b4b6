"""The player in a browser: events, the sentence, keys, pictures, themes, players in step."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

import freehint as fh
from freehint.figures.drawing.palette import THEMES, meanings_in
from freehint.mm.memory import MIGRATETYPE_NAMES
from freehint.runs.trajectory.opening import opening_ns
from freehint.widgets.player.html import player_html
from lab import PLAYER, chromium, new_page

MEMORY = fh.make_memory("256MiB", fragmentation=0.3)
SCENARIO = fh.Scenario(memory=MEMORY, duration_ns=40_000_000).with_values(
    {"policy": "v24", "ring.size": 8, "walk_at_ns": 5_000_000, "workload.interval_ns": 1_000}
)
COLOURS = """(canvas) => {
  const {width, height} = canvas, found = {};
  const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
  for (let i = 0; i < data.length; i += 4) {
    const colour = '#' + [0, 1, 2].map((c) => data[i + c].toString(16).padStart(2, '0')).join('');
    found[colour] = (found[colour] ?? 0) + 1;
  }
  return found;
}"""

CHIPS = """(all) => all.map((item) => [item.textContent,
  getComputedStyle(item.querySelector('i')).getPropertyValue('--chip').trim()])"""
HIDDEN_CHANGE = """async () => {
  document.body.style.display = 'none';
  document.body.dataset.jpThemeLight = 'true';
  await null;
  document.body.style.display = '';
}"""


@pytest.fixture(scope="module")
def seen():
    return fh.record(SCENARIO, 81)


@pytest.fixture(scope="module")
def moving():
    """A migration of a guest that takes memory back."""
    scenario = fh.Scenario(
        memory="64MiB",
        workload=fh.Program(state="churn", fill_MiB=24, dirty_MiB=8, rate_MiBps=64.0),
        migration=fh.MigrationConfig(start_at_ns=20_000_000, bandwidth_Bps=1 << 28),
        duration_ns=300_000_000,
    )
    return fh.record(scenario, 61)


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a page with the players of trajectories, and gives the first focus."""
    pages, errors = [], []

    def open_page(shown, **state):
        path = tmp_path / "player.html"
        path.write_text(player_html(shown, **state))
        page = new_page(browser, viewport={"width": 1200, "height": 900}, accept_downloads=True)
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector(PLAYER)
        page.locator(PLAYER).first.focus()
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


def time_ns(page, player=0) -> float:
    return float(page.locator(PLAYER).nth(player).get_attribute("data-time-ns"))


def waits_for_strokes(run):
    """(wait, hold) of each wait that the middle of a policy's hold of the same zone falls into."""
    for wait in run.waits.itertuples():
        middle = wait.since_ns + wait.wait_ns / 2
        held = run.locks[run.locks["zone"].astype(str) == str(wait.zone)]
        held = held[(held["since_ns"] <= middle) & (middle < held["since_ns"] + held["held_ns"])]
        if len(held):
            yield wait, held.iloc[0]


def times_of(seen, kind: str) -> list:
    """When the events of a kind begin, found in another way than the player's."""
    run = seen.run
    if kind == "reuse":
        counted = seen.arrays["tally"][:, seen.meta["tally"].index("reused")].astype(int)
        risen = np.diff(counted, prepend=0) > 0
        return seen.arrays["time_ns"][risen & ~np.r_[False, risen[:-1]]].tolist()
    if kind == "stroke":
        found = run.locks[(run.locks["blocks"] > 0) | (run.locks["held_ns"] > 0)]
        return sorted(found.groupby("stroke")["since_ns"].min())
    if kind == "loss":
        lost = ~run.reports["taken"].to_numpy(bool)
        return run.reports["time_ns"][lost & ~np.roll(lost, 1)].tolist()
    if kind == "sync":
        return run.rounds["time_ns"].tolist()
    begin, end = run.waits["since_ns"], run.waits["since_ns"] + run.waits["wait_ns"]
    zones, first = run.locks["zone"].astype(str), run.locks["since_ns"]
    last = first + run.locks["held_ns"]
    waited = [
        ((zones == str(zone)) & (first < upto) & (last > since)).any()
        for zone, since, upto in zip(run.waits["zone"], begin, end)
    ]
    return sorted(begin[waited])


@pytest.mark.parametrize("kind", ["stroke", "loss", "wait", "reuse", "sync"])
def test_the_next_event_is_one(opened, seen, moving, kind):
    shown = moving if kind in ("reuse", "sync") else seen
    page, times = opened(shown, moment=0), [*dict.fromkeys(times_of(shown, kind))][:6]
    assert len(times) > 1
    page.locator("select[aria-label='kind of the next event']").select_option(kind)
    page.locator(PLAYER).focus()
    visited = []
    for _ in times:
        page.keyboard.press("n")
        visited.append(time_ns(page))
    assert visited == times
    page.keyboard.press("p")
    assert time_ns(page) == times[-2]


def test_the_sentence_at_a_wait_names_cpu_zone_and_holder(opened, seen):
    wait, hold = next(waits_for_strokes(seen.run))
    middle = wait.since_ns + wait.wait_ns / 2
    assert opening_ns(seen) == middle  # it opens at the first of them
    page = opened(seen)
    assert time_ns(page) == middle
    sentence = page.inner_text(".fh-sentence")
    mine = seen.run.reports[seen.run.reports["stroke"] == hold["stroke"]]
    mine = mine[mine["time_ns"] <= hold["since_ns"] + hold["held_ns"]]
    at = min(int((mine["time_ns"] <= middle).sum()), len(mine) - 1)
    order, migratetype = mine.iloc[at]["order"], MIGRATETYPE_NAMES[mine.iloc[at]["migratetype"]]
    waits = seen.run.waits
    asleep = waits[(waits["since_ns"] <= middle) & (waits["since_ns"] + waits["wait_ns"] > middle)]
    who = f"CPU {wait.cpu} has waited" if len(asleep) == 1 else "wait for"
    assert who in sentence and f"{wait.zone}'s lock" in sentence
    assert f"v24 holds it: order {order} {migratetype}" in sentence
    assert f"block {at + 1:,} of {len(mine):,}" in sentence


def test_a_question_mark_shows_the_keys(opened, seen):
    page = opened(seen)
    keys = page.locator(".fh-keys")
    assert not keys.is_visible()
    page.keyboard.press("?")
    assert keys.is_visible() and "next or the previous event" in keys.inner_text()
    page.keyboard.press("Escape")
    assert not keys.is_visible()
    page.get_by_role("button", name="keys (?)").click()
    assert keys.is_visible()


def test_the_picture_is_a_png_of_what_is_shown(opened, seen):
    page = opened(seen, moment=60)
    with page.expect_download() as download:
        page.keyboard.press("e")
    assert download.value.suggested_filename == "freehint-v24-30.00ms.png"
    data = download.value.path().read_bytes()
    picture = (imread(io.BytesIO(data))[..., :3] * 255).round().astype(int)
    assert data.startswith(b"\x89PNG") and picture.shape[1] > 2 * 1100
    found = set(map(tuple, picture.reshape(-1, 3)[::7].tolist()))
    for meaning in ("used", "free", "hinted", "hold", "wait", "ink", "paper"):
        colour = THEMES["light"][meaning]
        assert tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) in found, meaning


def test_every_canvas_follows_the_theme(opened, seen):
    """The browser's; and JupyterLab's, which hides the page while it changes."""
    page = opened(seen)
    changes = {
        "dark": lambda: page.emulate_media(color_scheme="dark"),
        "light": lambda: page.evaluate(HIDDEN_CHANGE),
    }
    for theme, change in changes.items():
        change()
        page.wait_for_selector(f".fh-player[data-theme={theme}]")
        other = THEMES["light" if theme == "dark" else "dark"]["paper"].lower()
        for canvas in page.locator(".fh-player canvas").all():
            found = canvas.evaluate(COLOURS)
            assert found.get(THEMES[theme]["paper"].lower(), 0) > 500
            assert found.get(other, 0) < 500  # the ink of the dark theme is nearly white


def test_the_shortest_hold_has_a_pixel(opened, seen):
    page = opened(seen, moment=0)
    found = page.locator(".fh-lanes canvas").evaluate(COLOURS)
    locks = seen.run.locks
    pixel_ns = SCENARIO.duration_ns / 1000
    assert (locks["held_ns"] < pixel_ns).any()
    for meaning in ("hold", "wait"):
        assert found[THEMES["light"][meaning].lower()] > 10


def test_players_in_step_have_one_time_not_one_moment(opened, seen):
    other = fh.record(SCENARIO.with_values({"policy": "rotate_on_exit"}), 33)
    page = opened([seen, other])
    starts = [time_ns(page, player) for player in (0, 1)]
    assert starts == [opening_ns(seen)] * 2
    for keys in ("n", "ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(keys)
    assert time_ns(page, 0) == time_ns(page, 1) > starts[0]
    moments = page.evaluate(
        f"[...document.querySelectorAll('{PLAYER}')].map((p) => +p.dataset.moment)"
    )
    times = [each.arrays["time_ns"][at] for each, at in zip((seen, other), moments)]
    assert moments[0] != moments[1] and max(times) <= time_ns(page)
    page.locator(PLAYER).nth(1).focus()
    page.keyboard.press("w")
    ends = [
        page.locator(".fh-scrubber")
        .nth(player)
        .evaluate("(e) => e.style.getPropertyValue('--from')")
        for player in (0, 1)
    ]
    assert ends[0] == ends[1] != "0%"
    page.get_by_role("button", name="migratetype").nth(1).click()
    pressed = page.get_by_role("button", name="migratetype")
    assert [pressed.nth(i).get_attribute("aria-pressed") for i in (0, 1)] == ["true", "true"]


def test_the_legends_of_the_player_have_the_colours_of_all_figures(opened, seen):
    page = opened(seen)
    found = {}
    for lens in ("hints", "migratetype"):
        page.get_by_role("button", name=lens).click()
        found |= dict(page.locator(".fh-legend span:has(i:not(.fh-lines))").evaluate_all(CHIPS))
    named = {words: meanings_in(words) for words in found if meanings_in(words)}
    assert set().union(*named.values()) >= {"pcp", "hinted", "stale", "reused", "held", "MOVABLE"}
    for words, meanings in named.items():
        assert found[words] in {THEMES["light"][meaning] for meaning in meanings}, words
