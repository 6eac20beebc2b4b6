// The elements of the page, and the words on it that do not change.

const SPEEDS = [1, 2, 5, 10, 30, 60, 120]; // moments per second
const KEYS = "space plays or pauses; left and right arrows step, with shift by 10; "
  + "Home and End go to the first and last moment; plus, minus and 0 zoom; up and down pan";
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
  stale: "taken while on the ring", reused: "taken after a hint, in all",
};
const MIGRATION_FACTS = {
  phase: "phase", sent: "sent", left: "left to send", skipped: "skipped for hints",
};

function make(parent, tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  parent?.append(node);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
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
    root.setAttribute("aria-label", `Player of a run, policy ${meta.policies.join(" and ")}. ${KEYS}`);
    const head = make(root, "header", {className: "fh-head"});
    const title = make(head, "div", {className: "fh-title"});
    make(title, "strong", {}, meta.policies.join(" + ") || "none");
    const present = meta.zones.reduce((sum, zone) => sum + zone.present_pages, 0);
    make(title, "span", {}, `guest of ${formatPages(present)}, seed ${meta.seed}`);
    const now = make(head, "div", {className: "fh-now"});
    this.whyText = make(now, "span", {className: "fh-why"});
    this.momentText = make(now, "span", {className: "fh-moment"});
    this.timeText = make(now, "strong", {className: "fh-clock"});
    const top = make(root, "div", {className: "fh-top"});
    this.buildMap(make(top, "section", {className: "fh-mapbox"}));
    this.buildSide(make(top, "aside", {className: "fh-side"}));
    this.buildLists(make(root, "section", {className: "fh-lists"}));
    this.buildTime(make(root, "section", {className: "fh-timebox"}));
    this.spoken = make(root, "div", {className: "fh-spoken", "aria-live": "polite"});
  }

  button(parent, name, label, onclick) {
    const button = make(parent, "button", {type: "button", onclick}, label);
    if (name) Object.assign(button, {title: name, ariaLabel: name});
    return button;
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
    const line = make(box, "div", {className: "fh-controls"});
    const buttons = this.buttons = make(line, "div", {className: "fh-buttons"});
    this.button(buttons, "one moment back", "‹", () => this.acts.step(-1));
    this.playButton = this.button(buttons, "play", "▶", () => this.acts.playOrPause());
    this.button(buttons, "one moment forward", "›", () => this.acts.step(1));
    this.speed = make(buttons, "select", {"aria-label": "moments per second", 
      onchange: () => this.acts.chooseSpeed(+this.speed.value)});
    for (const speed of SPEEDS) make(this.speed, "option", {value: speed}, `${speed}/s`);
    this.scrubber = make(line, "input", {type: "range", min: 0, max: this.trajectory.moments - 1, step: 1,
      className: "fh-scrubber", "aria-label": "moment",
      oninput: () => this.acts.goTo(+this.scrubber.value, {moves: true})});
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
