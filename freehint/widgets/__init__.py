"""Widgets for notebooks: panels with knobs, the player, the bench with both, and predictions."""

from freehint.widgets.examples import BlockKnobs, GuestKnobs, ThreadExample
from freehint.widgets.lab import Lab
from freehint.widgets.panel import KnobPanel
from freehint.widgets.player.html import player_html, save_player
from freehint.widgets.player.schedule import SchedulePlayer
from freehint.widgets.player.widget import Player, in_step
from freehint.widgets.prediction import Prediction
from freehint.widgets.scenario import ScenarioKnobs
from freehint.widgets.scenario_code import scenario_code

__all__ = [
    "BlockKnobs",
    "GuestKnobs",
    "KnobPanel",
    "Lab",
    "Player",
    "Prediction",
    "ScenarioKnobs",
    "SchedulePlayer",
    "ThreadExample",
    "in_step",
    "player_html",
    "save_player",
    "scenario_code",
]
