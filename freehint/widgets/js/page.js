// The elements of the page, and the words on it that do not change.

const SPEEDS = [1, 2, 5, 10, 30, 60, 120]; // moments per second
const LENS_LEGENDS = {
  hints: ["used", "pcp", "free", "hinted", "stale", "reused", "held"],
  type: ["UNMOVABLE", "MOVABLE", "RECLAIMABLE", "HIGHATOMIC", "ISOLATE"],
  migration: ["left", "used"],
};
const WORDS = {
  used: "in use", pcp: "on pcp lists", free: "free", hinted: "free, host told",
  stale: "taken while on the ring", reused: "taken after the host used the hint", held: "held for the host", left: "to be sent",
};

const HINT_FACTS = {
  taken: "taken by the ring", lost: "lost, ring full", twice: "taken twice",
  stale: "taken while on the ring", reused: "taken after the host used it",
};
const MIGRATION_FACTS = {
  phase: "phase", sent: "sent", left: "left to send", skipped: "skipped for hints",
};

// A time with four digits; with ``digits`` 0, without zeros at the end.
function formatTime(ns, digits = 4) {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (Math.abs(ns) < size) continue;
    return `${digits ? (ns / size).toPrecision(digits) : +(ns / size).toPrecision(6)} ${unit}`;
  }
  return `${ns.toFixed(0)} ns`;
}

// A time on an axis whose marks are ``step`` apart: as many digits as tell the marks apart.
function formatTick(ns, step) {
  const [unit, size] = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]].find(
    ([, one]) => ns >= one || one === 1);
  const digits = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
  return ns ? `${(ns / size).toFixed(digits)} ${unit}` : "0";
}

function formatAddress(pfn) {
  const mib = pfn / 256;
  return mib < 1024 ? `${+mib.toFixed(1)} MiB` : `${(mib / 1024).toFixed(2)} GiB`;
}

function formatPages(pages) {
  const mib = pages / 256;
  if (mib >= 1000) return `${(mib / 1024).toFixed(2)} GiB`;
  return mib >= 1 ? `${mib.toFixed(mib < 10 ? 1 : 0)} MiB` : `${pages * 4} KiB`;
}

class Page {
  // ``acts`` is a Player: buttons call its methods.
  constructor(root, trajectory, acts) {
    Object.assign(this, {root, trajectory, acts});
    this.build();
  }

  build() {
    const {root, trajectory: t} = this, {meta} = t;
    root.tabIndex = 0;
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `Player of a run, policy ${meta.policies.join(" and ")}. Press ? for its keys.`);
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the keys to the player
    const head = make(root, "header", {className: "fh-head"});
    const title = make(head, "div", {className: "fh-title"});
    make(title, "strong", {}, meta.policies.join(" + ") || "none");
    const present = meta.zones.reduce((sum, zone) => sum + zone.present_pages, 0);
    make(title, "span", {}, `guest of ${formatPages(present)}, seed ${meta.seed}`);
    const now = make(head, "div", {className: "fh-now"});
    this.momentText = make(now, "span", {className: "fh-moment"});
    this.timeText = make(now, "strong", {className: "fh-clock"});
    this.sentence = make(root, "p", {className: "fh-sentence"});
    const top = make(root, "div", {className: "fh-top"});
    this.buildMap(make(top, "section", {className: "fh-mapbox"}));
    this.buildSide(make(top, "aside", {className: "fh-side"}));
    this.buildLists(make(root, "section", {className: "fh-lists"}));
    this.buildTime(make(root, "section", {className: "fh-timebox"}));
    this.buildKeys(root);
    this.spoken = make(root, "div", {className: "fh-spoken", "aria-live": "polite", "data-unprinted": ""});
  }

  button(...about) {
    return makeButton(...about);
  }

  buildMap(box) {
    const bar = make(box, "div", {className: "fh-bar"});
    make(bar, "h3", {}, "Physical memory");
    const choice = (label) => make(bar, "div",
      {className: "fh-choice", role: "group", "aria-label": label});
    const lenses = choice("colours of the map");
    this.lensButtons = {};
    for (const [lens, label] of Object.entries(LENSES)) {
      if (lens === "migration" && !this.trajectory.meta.migrates) continue;
      this.lensButtons[lens] = this.button(lenses, null, label, () => this.acts.chooseLens(lens));
    }
    const zooms = choice("zoom of the map");
    for (const [label, name, factor] of [["−", "zoom out", 0.5], ["+", "zoom in", 2]]) {
      this.button(zooms, name, label, () => this.acts.zoomBy(factor));
    }
    this.legend = make(box, "div", {className: "fh-legend"});
    this.mapCanvas = make(box, "canvas", {className: "fh-map", tabIndex: -1, role: "img",
      "aria-label": "physical memory, one tile per " + (this.trajectory.meta.cell_shift ? "pageblock" : "page")});
  }

  buildSide(side) {
    const {meta} = this.trajectory;
    const fact = (table, label) => {
      const row = make(table, "tr");
      make(row, "th", {scope: "row"}, label);
      return make(row, "td");
    };
    const section = (title, className = "") => {
      const box = make(side, "section", {className});
      make(box, "h3", {}, title);
      return box;
    };
    const locks = make(section("Zone locks"), "table", {className: "fh-locks"});
    this.lockRows = meta.zones.map((zone) => {
      const row = make(locks, "tr");
      make(row, "th", {scope: "row"}, zone.name);
      const holder = make(make(row, "td"), "span", {className: "fh-holder"});
      return {holder, cpus: make(row, "td", {className: "fh-cpus"})};
    });
    const ring = section(`Ring, ${meta.ring_size.toLocaleString("en")} descriptors`);
    this.gauges = meta.policies.map((policy) => {
      const gauge = make(ring, "div", {className: "fh-gauge", role: "meter",
        "aria-label": `ring of ${policy}`, "aria-valuemin": 0, "aria-valuemax": meta.ring_size});
      const bar = make(gauge, "div"), text = make(gauge, "span");
      return {gauge, bar, text, worker: make(ring, "div", {className: "fh-faint"})};
    });
    const counts = make(section("Hints so far"), "table", {className: "fh-facts"});
    this.facts = {};
    for (const [name, label] of Object.entries(HINT_FACTS)) this.facts[name] = fact(counts, label);
    if (meta.migrates) {
      const table = make(section("Migration"), "table", {className: "fh-facts"});
      for (const [name, label] of Object.entries(MIGRATION_FACTS)) {
        this.facts[name] = fact(table, label);
      }
    }
    this.block = section("Block", "fh-block");
    this.blockText = make(this.block, "div", {});
  }

  buildLists(box) {
    const bar = make(box, "div", {className: "fh-bar"});
    make(bar, "h3", {}, "Free lists");
    this.listLegend = make(bar, "div", {className: "fh-legend"});
    this.listScroller = make(box, "div", {className: "fh-scroll"});
    this.listSpacer = make(this.listScroller, "div", {className: "fh-spacer"});
    this.listCanvas = make(this.listSpacer, "canvas",
      {role: "img", "aria-label": "the free lists, head at the left"});
  }

  buildTime(box) {
    const lanes = make(box, "div", {className: "fh-lanes"});
    this.timeCanvas = make(lanes, "canvas", {role: "img", "aria-label": "the run over time"});
    this.playhead = make(lanes, "div", {className: "fh-playhead"});
    const {time} = this.trajectory, end = time[this.trajectory.moments - 1];
    this.scrubber = make(box, "input", {type: "range", min: 0, max: end, step: "any",
      className: "fh-scrubber", "aria-label": "time", "data-unprinted": "foot",
      oninput: () => this.acts.goToTime(+this.scrubber.value, {moves: true})});
    const line = make(box, "div", {className: "fh-controls", "data-unprinted": ""});
    const group = () => make(line, "div", {className: "fh-buttons"});
    const play = group();
    this.button(play, "one moment back", "‹", () => this.acts.step(-1));
    this.playButton = this.button(play, "play", "▶", () => this.acts.playOrPause());
    this.button(play, "one moment forward", "›", () => this.acts.step(1));
    this.speed = make(play, "select", {"aria-label": "moments per second",
      onchange: () => this.acts.chooseSpeed(+this.speed.value)});
    for (const speed of SPEEDS) make(this.speed, "option", {value: speed}, `${speed}/s`);
    const events = group();
    this.button(events, "previous event (p)", "⇤", () => this.acts.toEvent(-1));
    this.kind = make(events, "select", {"aria-label": "kind of the next event"});
    make(this.kind, "option", {value: "any"}, "events");
    const there = new Set(this.trajectory.events.map((event) => event.kind));
    for (const [kind, name] of Object.entries(EVENTS)) {
      make(this.kind, "option", {value: kind, disabled: !there.has(kind)}, name);
    }
    this.button(events, "next event (n)", "⇥", () => this.acts.toEvent(1));
    const axis = group();
    make(axis, "span", {className: "fh-faint"}, "time axis");
    this.button(axis, "zoom out of the time axis (s)", "−", () => this.acts.zoomTime(2));
    this.button(axis, "zoom into the time axis (w)", "+", () => this.acts.zoomTime(0.5));
    this.button(axis, "the whole run (f)", "all", () => this.acts.setWindow([]));
    const rest = group();
    this.button(rest, "save a picture (e)", "PNG", () => this.acts.savePicture());
    this.keysButton = this.button(rest, "keys (?)", "?", () => this.acts.showKeys());
  }

  buildKeys(root) {
    this.keys = keyTable(root, KEYS, GESTURES);
  }

  drawLegends(lens, has) {
    const {meta} = this.trajectory;
    const chip = (parent, name, words, className = "fh-chip") => {
      const item = make(parent, "span");
      make(item, "i", {className}).style.setProperty("--chip", `var(--fh-${name})`);
      item.append(words);
    };
    this.legend.replaceChildren();
    const there = new Set(this.trajectory.arrays["types"]);
    for (const name of LENS_LEGENDS[lens]) {
      if (lens === "type" && !there.has(meta.migratetypes.indexOf(name))) continue;
      const sent = lens === "migration" && name === "used";
      const words = lens === "type" ? shortType(name) : sent ? "sent, or skipped" : WORDS[name];
      chip(this.legend, name, words);
    }
    if (lens === "type") {
      make(this.legend, "span", {}, "full colour: free, faint: in use");
      chip(this.legend, "ink", "lines: host told", "fh-chip fh-lines");
      chip(this.legend, "stale", WORDS.stale);
    }
    this.listLegend.replaceChildren();
    make(this.listLegend, "span", {}, "head ← handed out next, tail →");
    chip(this.listLegend, "free", "no hint");
    chip(this.listLegend, "hinted", "on the ring", "fh-chip fh-ring");
    chip(this.listLegend, "hinted", "host told");
    chip(this.listLegend, "line", "walked now");
    if (has.cursor) chip(this.listLegend, "cursor", "cursor: the walk continues here", "fh-chip fh-bookmark");
    if (has.end) chip(this.listLegend, "faint", "END: reported from here on", "fh-chip fh-end");
    if (has.first) chip(this.listLegend, "ink", "first block reported", "fh-chip fh-first");
    if (has.held) chip(this.listLegend, "held", "held for the host");
    for (const [name, button] of Object.entries(this.lensButtons)) {
      button.setAttribute("aria-pressed", name === lens);
    }
  }
}
