// The player: everything on the page, the controls, and what one frame shows.

const SPEEDS = [1, 2, 5, 10, 30, 60, 120]; // frames a second
const KEYS = "space plays or pauses; left and right arrows step, with shift by 10; "
  + "Home and End; plus, minus and 0 zoom; up and down pan";
const LENS_LEGENDS = {
  hints: ["used", "pcp", "free", "hinted", "stale", "held"],
  type: ["UNMOVABLE", "MOVABLE", "RECLAIMABLE", "HIGHATOMIC", "ISOLATE"],
  migration: ["left", "used"],
};
const WORDS = {
  used: "in use", pcp: "on pcp lists", free: "free", hinted: "free, host told",
  stale: "in use, host told", held: "held for the host", left: "to be sent",
};
const MODES = ["pauses", "publishing", "waits for a descriptor", "waits for the host",
  "published", "waits for the lock", "waits for the lock"];
const WHY = ["", "a stroke has chosen its blocks", "a stroke has settled its blocks",
  "called back: a list ran empty"];

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

class Player {
  constructor(model, root, trajectory) {
    Object.assign(this, {model, root, trajectory});
    this.hovered = null;
    this.tween = null;
    this.undo = [];
    this.build();
    this.map = new MemoryMap(this.mapCanvas, trajectory);
    this.lists = new Lists(this.listCanvas, this.listScroller, trajectory);
    this.timeline = new Timeline(this.timeCanvas, this.playhead, trajectory);
    this.map.lens = model.get("lens");
    this.map.zoom = model.get("zoom");
    this.listen();
    this.look();
    this.followModel();
  }

  get frame() {
    return Math.max(0, Math.min(this.trajectory.frames - 1, this.model.get("frame")));
  }

  // The page.

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
    this.frameText = make(now, "span", {className: "fh-frame"});
    this.timeText = make(now, "strong", {className: "fh-clock"});
    const top = make(root, "div", {className: "fh-top"});
    this.buildMap(make(top, "section", {className: "fh-mapbox"}));
    this.buildSide(make(top, "aside", {className: "fh-side"}));
    this.buildLists(make(root, "section", {className: "fh-lists"}));
    this.buildTime(make(root, "section", {className: "fh-timebox"}));
    this.spoken = make(root, "div", {className: "fh-spoken", "aria-live": "polite"});
  }

  buildMap(box) {
    const bar = make(box, "div", {className: "fh-bar"});
    make(bar, "h3", {}, "Physical memory");
    const lenses = make(bar, "div", {className: "fh-choice", role: "group", "aria-label": "colours of the map"});
    this.lensButtons = {};
    for (const [lens, label] of Object.entries(LENSES)) {
      if (lens === "migration" && !this.trajectory.meta.migrates) continue;
      this.lensButtons[lens] = make(lenses, "button", {type: "button", onclick: () => this.chooseLens(lens)}, label);
    }
    const zooms = make(bar, "div", {className: "fh-choice", role: "group", "aria-label": "zoom of the map"});
    for (const [label, name, factor] of [["−", "zoom out", 0.5], ["+", "zoom in", 2]]) {
      make(zooms, "button", {type: "button", title: name, "aria-label": name, onclick: () => this.zoomBy(factor)}, label);
    }
    this.legend = make(box, "div", {className: "fh-legend"});
    this.mapCanvas = make(box, "canvas", {className: "fh-map", tabIndex: -1, role: "img",
      "aria-label": "physical memory, a tile a " + (this.trajectory.meta.cell_shift ? "pageblock" : "page")});
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
      const gauge = make(ring, "div", {className: "fh-gauge", role: "meter", "aria-label": `ring of ${policy}`,
        "aria-valuemin": 0, "aria-valuemax": meta.ring_size});
      const bar = make(gauge, "div"), text = make(gauge, "span");
      return {gauge, bar, text, worker: make(ring, "div", {className: "fh-faint"})};
    });
    const counts = make(section("Hints so far"), "table", {className: "fh-facts"});
    this.facts = {};
    for (const name of ["taken", "lost", "twice", "stale", "reused"]) this.facts[name] = fact(counts, {
      taken: "taken by the ring", lost: "lost, ring full", twice: "taken twice",
      stale: "allocated while on the ring", reused: "allocated after a hint",
    }[name]);
    if (meta.migrates) {
      const table = make(section("Migration"), "table", {className: "fh-facts"});
      for (const [name, label] of [["phase", "phase"], ["sent", "sent"], ["left", "left to send"], ["skipped", "skipped for hints"]]) {
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
    this.listCanvas = make(this.listSpacer, "canvas", {role: "img", "aria-label": "the free lists, head at the left"});
  }

  buildTime(box) {
    const lanes = make(box, "div", {className: "fh-lanes"});
    this.timeCanvas = make(lanes, "canvas", {role: "img", "aria-label": "the run over time"});
    this.playhead = make(lanes, "div", {className: "fh-playhead"});
    const line = make(box, "div", {className: "fh-controls"});
    const buttons = this.buttons = make(line, "div", {className: "fh-buttons"});
    const button = (name, label, onclick) => make(buttons, "button", {type: "button", title: name, "aria-label": name, onclick}, label);
    button("one frame back", "‹", () => this.step(-1));
    this.playButton = button("play", "▶", () => this.play(!this.model.get("playing")));
    button("one frame on", "›", () => this.step(1));
    this.speed = make(buttons, "select", {"aria-label": "frames a second", onchange: () => {
      this.model.set("speed", +this.speed.value);
      this.model.save_changes();
    }});
    for (const speed of SPEEDS) make(this.speed, "option", {value: speed}, `${speed}/s`);
    this.scrubber = make(line, "input", {type: "range", min: 0, max: this.trajectory.frames - 1, step: 1,
      className: "fh-scrubber", "aria-label": "frame", oninput: () => this.goTo(+this.scrubber.value, {moves: true})});
  }

  // Colours and sizes, anew when the theme or the room changes.

  look() {
    const light = document.body.dataset.jpThemeLight;
    const dark = light === undefined
      ? matchMedia("(prefers-color-scheme: dark)").matches : light === "false";
    const colours = this.model.get("colours")[dark ? "dark" : "light"];
    this.root.dataset.theme = dark ? "dark" : "light";
    for (const [name, value] of Object.entries(colours)) {
      this.root.style.setProperty(`--fh-${name}`, value);
    }
    const style = getComputedStyle(this.root), font = parseFloat(style.fontSize);
    const theme = {...colours, family: style.fontFamily};
    const ratio = window.devicePixelRatio || 1;
    const mapWidth = this.mapCanvas.clientWidth;
    if (!mapWidth) return; // not shown yet
    const above = this.mapCanvas.getBoundingClientRect().top, beside = this.block.getBoundingClientRect();
    const least = beside.left > this.mapCanvas.getBoundingClientRect().right ? beside.top + 9 * font - above : 0;
    this.map.layOut(mapWidth, Math.max(240, least, Math.min(mapWidth * 0.56, innerHeight * 0.37)), ratio, font);
    this.map.keepInside();
    const rows = this.lists.lists.length;
    this.listScroller.style.height = `${Math.min((rows + 0.3) * this.lists.rowHeightFor(font), Math.max(font * 9, innerHeight * 0.19))}px`;
    this.lists.layOut(this.listScroller.clientWidth, ratio, font);
    this.listSpacer.style.height = `${this.lists.contentHeight}px`;
    this.timeline.layOut(this.timeCanvas.clientWidth, ratio, font, this.buttons.offsetWidth);
    const {gutter, margin} = this.timeline;
    this.scrubber.style.width = `${this.timeCanvas.clientWidth - gutter - margin}px`;
    this.scrubber.style.marginRight = `${margin}px`;
    for (const picture of [this.map, this.lists, this.timeline]) picture.colour(theme);
    this.drawLegends();
    this.draw();
  }

  drawLegends() {
    const {meta} = this.trajectory, lens = this.map.lens;
    const chip = (parent, name, words, className = "fh-chip") => {
      const item = make(parent, "span");
      make(item, "i", {className}).style.setProperty("--chip", `var(--fh-${name})`);
      item.append(words);
    };
    this.legend.replaceChildren();
    const there = new Set(this.trajectory.arrays["types"]);
    for (const name of LENS_LEGENDS[lens]) {
      if (lens === "type" && !there.has(meta.migratetypes.indexOf(name))) continue;
      const words = lens === "type" ? shortType(name) : lens === "migration" && name === "used" ? "sent, or skipped" : WORDS[name];
      chip(this.legend, name, words);
    }
    if (lens === "type") {
      make(this.legend, "span", {}, "full colour: free, faint: in use");
      chip(this.legend, "ink", "lines: host told", "fh-chip fh-lines");
      chip(this.legend, "stale", "in use, host told");
    }
    this.listLegend.replaceChildren();
    make(this.listLegend, "span", {}, "head ← handed out next, tail →");
    chip(this.listLegend, "free", "no hint");
    chip(this.listLegend, "hinted", "on the ring", "fh-chip fh-ring");
    chip(this.listLegend, "hinted", "host told");
    const {has} = this.lists;
    if (has.cursor) chip(this.listLegend, "cursor", "cursor: the walk goes on here", "fh-chip fh-bookmark");
    if (has.end) chip(this.listLegend, "faint", "END: reported from here on", "fh-chip fh-end");
    if (has.first) chip(this.listLegend, "ink", "first block reported", "fh-chip fh-first");
    if (has.held) chip(this.listLegend, "held", "held for the host");
    for (const [name, button] of Object.entries(this.lensButtons)) button.setAttribute("aria-pressed", name === lens);
  }

  // Control.

  listen() {
    const {root} = this;
    root.addEventListener("keydown", (event) => this.onKey(event));
    this.listScroller.addEventListener("scroll", () => this.drawListsAlone());
    this.mapCanvas.addEventListener("pointermove", (event) => this.onMapMove(event));
    this.mapCanvas.addEventListener("pointerdown", (event) => this.onMapDown(event));
    this.mapCanvas.addEventListener("pointerup", (event) => this.onMapUp(event));
    this.mapCanvas.addEventListener("pointerleave", () => this.hover(null));
    this.mapCanvas.addEventListener("wheel", (event) => this.onWheel(event), {passive: false});
    this.listCanvas.addEventListener("pointermove", (event) => this.hover(this.lists.blockAt(event.offsetX, event.offsetY)));
    this.listCanvas.addEventListener("pointerleave", () => this.hover(null));
    this.listCanvas.addEventListener("click", (event) => this.pin(this.lists.blockAt(event.offsetX, event.offsetY)));
    this.timeCanvas.addEventListener("pointerdown", (event) => this.goTo(this.timeline.frameAt(event.offsetX), {moves: false}));
    this.timeCanvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) this.goTo(this.timeline.frameAt(event.offsetX), {moves: false});
    });
    const again = () => this.look();
    const resized = new ResizeObserver(again);
    resized.observe(root);
    window.addEventListener("resize", again);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    const themed = new MutationObserver(again);
    themed.observe(document.body, {attributes: true, attributeFilter: ["data-jp-theme-light"]});
    this.undo.push(() => { resized.disconnect(); themed.disconnect(); scheme.removeEventListener("change", again); window.removeEventListener("resize", again); });
  }

  followModel() {
    const follow = (name, act) => {
      this.model.on(`change:${name}`, act);
      this.undo.push(() => this.model.off(`change:${name}`, act));
    };
    follow("frame", () => { if (!this.going && this.frame !== this.shownFrame) this.show({moves: true}); });
    follow("playing", () => this.followPlaying());
    follow("speed", () => this.showSpeed());
    follow("selected", () => this.draw());
    follow("lens", () => { this.map.lens = this.model.get("lens"); this.map.drawn = null; this.drawLegends(); this.draw(); });
    follow("zoom", () => { if (this.map.zoom !== this.model.get("zoom")) this.zoomBy(this.model.get("zoom") / this.map.zoom); });
    this.showSpeed();
    this.followPlaying();
  }

  onKey(event) {
    // JupyterLab takes the arrows, and Enter, of whatever does not keep them for itself.
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 10 : 1, pan = this.map.tall * 2;
    if (event.target === this.speed && event.key.startsWith("Arrow")) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return;
    const acts = {
      " ": () => this.play(!this.model.get("playing")),
      ArrowLeft: () => this.step(-by),
      ArrowRight: () => this.step(by),
      Home: () => this.goTo(0, {moves: false}),
      End: () => this.goTo(this.trajectory.frames - 1, {moves: false}),
      "+": () => this.zoomBy(2), "=": () => this.zoomBy(2), "-": () => this.zoomBy(0.5),
      0: () => this.zoomBy(1 / this.map.zoom),
      ArrowUp: () => { this.map.pan(0, pan); this.draw(); },
      ArrowDown: () => { this.map.pan(0, -pan); this.draw(); },
      Escape: () => this.pin(null),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  step(by) {
    if (this.model.get("playing")) this.play(false);
    this.goTo(this.frame + by, {moves: Math.abs(by) === 1});
  }

  goTo(frame, how) {
    this.going = true; // so that the model's own change shows nothing a second time
    this.model.set("frame", Math.max(0, Math.min(this.trajectory.frames - 1, frame)));
    this.going = false;
    this.show(how);
    this.saveSoon();
  }

  // Not with every frame that is played: each is a message to the kernel.
  saveSoon() {
    this.saving ??= setTimeout(() => {
      this.saving = null;
      this.model.save_changes();
    }, 200);
  }

  play(playing) {
    if (playing && this.frame === this.trajectory.frames - 1) this.goTo(0, {moves: false});
    this.model.set("playing", playing);
    this.model.save_changes();
    this.followPlaying();
  }

  followPlaying() {
    const playing = this.model.get("playing");
    write(this.playButton, playing ? "❚❚" : "▶");
    this.playButton.setAttribute("aria-label", playing ? "pause" : "play");
    this.playButton.title = playing ? "pause" : "play";
    if (playing && !this.ticking) {
      this.due = performance.now();
      this.ticking = requestAnimationFrame((now) => this.tick(now));
    }
    this.announce();
  }

  tick(now) {
    this.ticking = null;
    if (!this.model.get("playing") || !this.root.isConnected) return;
    const speed = this.model.get("speed");
    const frames = Math.floor((now - this.due) * speed / 1000);
    if (frames > 0) {
      this.due += frames * 1000 / speed;
      if (now - this.due > 500) this.due = now; // the page was out of sight
      const next = Math.min(this.trajectory.frames - 1, this.frame + frames);
      this.goTo(next, {moves: frames === 1, within: 850 / speed});
      if (next === this.trajectory.frames - 1) { this.play(false); return; }
    }
    this.ticking = requestAnimationFrame((time) => this.tick(time));
  }

  showSpeed() {
    this.speed.value = this.model.get("speed");
  }

  chooseLens(lens) {
    this.model.set("lens", lens);
    this.model.save_changes();
    this.map.lens = lens;
    this.map.drawn = null;
    this.drawLegends();
    this.draw();
  }

  zoomBy(factor, at) {
    const {map} = this, chosen = this.model.get("selected");
    const cell = chosen < 0 ? null : map.corner((chosen - this.trajectory.meta.base_pfn) >> this.trajectory.meta.cell_shift);
    const middle = [(map.gutter + this.mapCanvas.clientWidth) / 2, this.mapCanvas.clientHeight / 2];
    map.zoomTo(map.zoom * factor, ...(at ?? cell ?? middle));
    this.model.set("zoom", map.zoom);
    this.saveSoon();
    this.draw();
  }

  onWheel(event) {
    // Without the focus the wheel scrolls the notebook.
    if (!event.ctrlKey && !this.root.contains(document.activeElement)) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, [event.offsetX, event.offsetY]);
  }

  onMapDown(event) {
    this.dragged = {x: event.offsetX, y: event.offsetY, far: false};
    this.mapCanvas.setPointerCapture(event.pointerId);
  }

  onMapMove(event) {
    if (!this.dragged) {
      this.hover(this.blockOf(this.map.cellAt(event.offsetX, event.offsetY)));
      return;
    }
    const dx = event.offsetX - this.dragged.x, dy = event.offsetY - this.dragged.y;
    if (!this.dragged.far && Math.hypot(dx, dy) < 4) return;
    this.dragged = {x: event.offsetX, y: event.offsetY, far: true};
    this.map.pan(dx, dy);
    this.draw();
  }

  onMapUp(event) {
    if (this.dragged && !this.dragged.far) {
      this.pin(this.blockOf(this.map.cellAt(event.offsetX, event.offsetY)));
    }
    this.dragged = null;
  }

  // The free block over a cell's first page, as far as is known; else the cell.
  blockOf(cell) {
    if (cell < 0) return null;
    const shift = this.trajectory.meta.cell_shift, node = cell * 2 ** shift;
    const block = this.trajectory.findBlock(this.frame, node);
    if (!block || 2 ** block.order < 2 ** shift) return {node, size: 2 ** shift};
    return {node: block.first, size: 2 ** (block.order ?? 0)};
  }

  hover(block) {
    if (block?.node === this.hovered?.node && block?.size === this.hovered?.size) return;
    this.hovered = block;
    this.draw();
  }

  pin(block) {
    const base = this.trajectory.meta.base_pfn;
    const same = block && block.node + base === this.model.get("selected");
    this.model.set("selected", block && !same ? block.node + base : -1);
    this.model.save_changes();
    this.draw();
  }

  // Blocks to be outlined in map and lists: the pinned one, and the one under the pointer.
  marked() {
    const chosen = this.model.get("selected"), found = [];
    if (chosen >= 0) {
      const node = chosen - this.trajectory.meta.base_pfn;
      const block = this.trajectory.findBlock(this.frame, node);
      const size = block?.first === node ? 2 ** (block.order ?? 0) : this.pinnedSize ?? 2 ** this.trajectory.meta.cell_shift;
      this.pinnedSize = size;
      found.push({node, size, pinned: true});
    }
    if (this.hovered) found.unshift({...this.hovered, pinned: false});
    return found;
  }

  // One frame.

  show({moves = false, within = 320}) {
    const last = this.shownFrame;
    if (this.tween) this.finishTween();
    this.shownFrame = this.frame;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const long = Math.min(within, 450);
    if (moves && !calm && last !== undefined && Math.abs(last - this.frame) === 1 && long > 60) {
      this.tween = {begin: performance.now(), long};
      this.draw(0);
      this.tween.next = requestAnimationFrame((now) => this.tweenOn(now));
    } else {
      this.draw();
    }
  }

  tweenOn(now) {
    if (!this.tween) return;
    const progress = Math.max(0, Math.min(1, (now - this.tween.begin) / this.tween.long));
    const moving = this.lists.draw(this.frame, progress, this.marks);
    if (progress >= 1 || !moving) { this.finishTween(); return; }
    this.tween.next = requestAnimationFrame((time) => this.tweenOn(time));
  }

  finishTween() {
    cancelAnimationFrame(this.tween.next);
    this.tween = null;
    this.lists.draw(this.shownFrame, 1, this.marks);
  }

  drawListsAlone() {
    if (this.tween) this.finishTween();
    this.lists.draw(this.frame, 1, this.marks ?? []);
  }

  draw(progress = 1) {
    if (!this.map.theme) return;
    const frame = this.frame;
    this.shownFrame = frame;
    this.marks = this.marked();
    this.map.draw(frame, this.marks);
    this.lists.draw(frame, progress, this.marks);
    this.timeline.draw(frame);
    this.scrubber.value = frame;
    this.scrubber.setAttribute("aria-valuetext", `${formatTime(this.trajectory.time[frame])}, frame ${frame + 1} of ${this.trajectory.frames}`);
    this.writeFacts(frame);
    this.root.dataset.frame = frame;
    this.root.dispatchEvent(new CustomEvent("freehint:drawn", {detail: {frame}}));
    if (!this.model.get("playing")) this.announce();
  }

  announce() {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => write(this.spoken, this.scrubber.getAttribute("aria-valuetext") ?? ""), 600);
  }

  writeFacts(frame) {
    const t = this.trajectory, {meta, arrays} = t;
    write(this.timeText, formatTime(t.time[frame]));
    write(this.frameText, `frame ${frame + 1} of ${t.frames}`);
    write(this.whyText, WHY[arrays["why"][frame]]);
    this.lockRows.forEach(({holder, cpus}, zone) => {
      const who = arrays["holder"][frame * t.zones + zone];
      const asleep = who >= FIRST_USER ? arrays["waiting"][frame] : 0;
      write(holder, who >= FIRST_USER ? (t.users > 1 ? `stroke of ${meta.policies[who - FIRST_USER]}` : "a policy's stroke")
        : who === SHORT_HOLD ? "a CPU, briefly" : "nobody");
      holder.dataset.who = who >= FIRST_USER ? "policy" : who ? "cpu" : "nobody";
      const names = [...Array(meta.nr_cpus).keys()].filter((cpu) => asleep >> cpu & 1);
      write(cpus, !names.length ? "" : names.length > 4 ? `${names.length} CPUs wait` : `CPU ${names.join(" ")} wait`);
    });
    this.gauges.forEach(({gauge, bar, text, worker}, user) => {
      const n = t.inFlight(frame, user);
      bar.style.width = `${100 * n / meta.ring_size}%`;
      bar.dataset.full = n >= meta.ring_size;
      gauge.setAttribute("aria-valuenow", n);
      write(text, `${n.toLocaleString("en")} in flight`);
      const walking = arrays["walking"][frame * t.users + user];
      write(worker, !walking ? "no walk" : `walks, stroke ${t.user(frame, user, "stroke") + 1}: ${MODES[t.user(frame, user, "mode")]}`);
    });
    write(this.facts.taken, formatPages(t.total(frame, "hinted")));
    write(this.facts.lost, formatPages(t.total(frame, "lost")));
    write(this.facts.twice, formatPages(t.total(frame, "duplicate")));
    write(this.facts.stale, formatPages(t.tally(frame, "stale")));
    write(this.facts.reused, formatPages(t.tally(frame, "reused")));
    if (meta.migrates) this.writeMigration(frame);
    this.writeBlock(frame);
  }

  writeMigration(frame) {
    const t = this.trajectory, phase = t.migration(frame, "phase");
    const rounds = t.arrays["rounds.time_ns"], round = rounds.filter((time) => time <= t.time[frame]).length;
    const sent = t.migration(frame, "sent_bytes");
    write(this.facts.phase, phase === 2 ? "guest stopped" : phase === 1 ? `pre-copy, round ${round}` : round ? "over" : "not begun");
    write(this.facts.sent, `${(sent / 1e6).toFixed(1)} MB`);
    write(this.facts.left, phase ? formatPages(t.migration(frame, "pages_left")) : "–");
    write(this.facts.skipped, formatPages(t.migration(frame, "hinted")));
  }

  writeBlock(frame) {
    const mark = this.marks[0];
    if (!mark) {
      write(this.blockText, "Point at a block in the map or in a list; a click pins it.");
      return;
    }
    const lines = blockLines(this.trajectory, frame, mark.node);
    if (lines.join("\n") === this.blockLines) return;
    this.blockLines = lines.join("\n");
    this.blockText.replaceChildren(...lines.map((line, i) => make(null, i ? "div" : "strong", {}, line)));
  }

  remove() {
    cancelAnimationFrame(this.ticking);
    if (this.tween) cancelAnimationFrame(this.tween.next);
    clearTimeout(this.saving);
    clearTimeout(this.speaking);
    this.undo.forEach((act) => act());
  }
}

async function render({model, el}) {
  const root = make(el, "div", {className: "fh-player"});
  const bytes = model.get("payload");
  const view = new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength);
  const player = new Player(model, root, readPayload(await inflate(view)));
  root.dataset.ready = "true";
  return () => player.remove();
}

export default {render};
