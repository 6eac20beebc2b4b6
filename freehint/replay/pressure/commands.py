"""The output of ``freehint validate pressure``."""

from pathlib import Path

import pandas as pd

from freehint.config import InputError, one_of
from freehint.files import whole_file
from freehint.mm.profile import LINUX_6_1
from freehint.replay.pressure.calibrate import calibrate, read_rates, write_rates
from freehint.replay.pressure.compare import compare
from freehint.replay.pressure.machine import dirty_slowness, host_factor
from freehint.replay.pressure.measured import measure
from freehint.replay.pressure.predict import SEEDS, costs_of, predict, slowness_of, workload_of
from freehint.replay.pressure.wrong import WRONG_RULES, wrong_rules

ALL_RULES = "all"
NOT_HELD_OUT = "; this recording is NOT held out"
CALIBRATED_ON = ("rc_cache", "rc_oom")  # of linux-6.1: the defaults of UnderPressure and Costs


def print_pressure(args) -> bool:
    """Predict a recording under pressure from its T0, and print each quantity and wrong rule.

    Returns
    -------
    bool
        Whether every bar holds and every wrong rule that the recording exercises misses one.
    """
    if args.wrong is not None:
        one_of("--wrong", args.wrong, (*WRONG_RULES, ALL_RULES))
    if args.calibrate and args.rates and Path(args.rates).is_dir():
        raise InputError(f"{args.rates}: is a folder; --rates needs the name of a file")
    rates, said = _rates(args)
    measured = measure(args.folder)
    if not rates and measured.stem.name in CALIBRATED_ON and measured.start.profile == LINUX_6_1:
        said += NOT_HELD_OUT
    slowness = slowness_of(measured, rates)
    found = compare(measured, predict(measured, rates, None, slowness))
    good = found.good
    print(f"times per page: {said}")
    print(f"the machine's slowness, one number from this recording: {slowness:.2f}")
    factor, turns = host_factor(measured.host_turns), len(measured.host_turns)
    print(f"its host let it run {1 / factor:.0%} of the time, by {turns} gaps")
    if len(measured.paces):
        guest = workload_of(measured, rates)
        told = dirty_slowness(measured.paces, guest.fill_ns, costs_of(rates), slowness * factor)
        print("its slowness in dirty: {:.2f} until kswapd runs, then {:.2f}".format(*told))
    if measured.misses:
        print(f"the replay misses {measured.misses} blocks, so the recorded course is not exact")
    print(f"predicted: the middle one of {len(SEEDS)} seeds; least and most: their range")
    print(readable_rows(found.rows).to_string(index=False))
    if args.wrong is not None:
        rules = tuple(WRONG_RULES) if args.wrong == ALL_RULES else (args.wrong,)
        wrong = wrong_rules(found, lambda one, rule: predict(one, rates, rule, slowness), rules)
        print("\nbars missed by wrong rules, and those among them that the right rules hold")
        print(wrong.round(2).to_string(index=False))
        good &= not (wrong["verdict"] == "HOLDS").any()
    if args.out:
        with whole_file(Path(args.out)) as temporary:
            found.rows.astype({"ok": "string"}).to_parquet(temporary)
        print(f"table: {args.out}")
    judged = found.rows["bar"] != ""
    print(f"{int(judged.sum()) - len(found.missed)} of {int(judged.sum())} bars hold")
    print("the bar holds" if good else "the bar is MISSED")
    print("next: --calibrate STEM fits the times per page on another recording; --wrong all")
    return good


def _rates(args) -> tuple[dict, str]:
    """The times per page (empty: the defaults), and where they come from."""
    if args.calibrate:
        rates = calibrate(args.calibrate)
        if args.rates:
            write_rates(rates, args.rates, args.calibrate)
        same = Path(args.calibrate).resolve() == Path(args.folder).resolve()
        held = NOT_HELD_OUT if same else ""
        return rates, f"calibrated on {Path(args.calibrate).name}{held}: {_list(rates)}"
    if args.rates:
        rates = read_rates(args.rates)
        return rates, f"{args.rates}: {_list(rates)}"
    return {}, f"the defaults, calibrated on linux-6.1's {' and '.join(CALIBRATED_ON)}"


def _list(rates: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in rates.items())


def readable_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a comparison for people: whole counts, ratios, and yes, NO or nothing."""

    def number(value) -> str:
        if pd.isna(value):
            return "-"
        return f"{value:.0f}" if float(value).is_integer() else f"{value:.3f}"

    shown = ("recorded", "predicted", "least", "most")
    return rows.assign(
        **{name: rows[name].map(number) for name in shown},
        ratio=rows["ratio"].map(lambda value: "-" if pd.isna(value) else f"{value:.2f}"),
        ok=rows["ok"].map({True: "yes", False: "NO", None: ""}).fillna(""),
    )
