// The player of schedules: a list of steps in words, and the small guest before and after each.

const SCHEDULE_KEYS = [
  {keys: [" "], shown: ["space"], says: "play or pause", act: (p) => p.playOrPause()},
  {keys: ["ArrowLeft", "ArrowRight"], shown: ["←", "→"], says: "one step back or forward",
    act: (p, {key}) => p.go(p.at + (key === "ArrowLeft" ? -1 : 1))},
  {keys: ["ArrowUp", "ArrowDown"], shown: ["↑", "↓"], says: "the same, along the list",
    act: (p, {key}) => p.go(p.at + (key === "ArrowUp" ? -1 : 1))},
  {keys: ["Home", "End"], shown: ["Home", "End"], says: "before the first step, or after the last",
    act: (p, {key}) => p.go(key === "Home" ? 0 : p.last)},
  {keys: ["?"], shown: ["?"], says: "show or hide this table", act: (p) => p.showKeys()},
  {keys: ["Escape"], shown: ["Esc"], says: "hide this table", act: (p) => p.showKeys(false)},
];
const STEP_SPEEDS = [0.5, 1, 2, 4]; // steps per second
const PAGES_OF_BLOCK = 4;
// The rows under the page numbers: what each says of a page, and how it is marked.
const PAGE_ROWS = [
  ["last write", "the number of the guest's last write to the page; – is nothing written",
    (page) => page.written ? `${page.written}` : "–"],
  ["at destination", "the write that the destination has",
    (page) => page.sent ? `${page.sent}` : "–"],
  ["to send", "QEMU's bitmap: ● is still to be sent", (page) => page.to_send ? "●" : "·"],
  ["dirty log", "KVM's log since the last sync: ● is written", (page) => page.logged ? "●" : "·"],
];
const OWNER_WORDS = {free: "free", held: "held for the host", nobody: "nobody's"};
const CHIPS = [["free", "free"], ["hinted", "free, its hint is on the ring"], ["used", "in use"],
  ["stale", "in use, its hint is on the ring"], ["held", "held for the host"]];

class SchedulePlayer {
  constructor(model, root) {
    Object.assign(this, {model, root});
    this.shown = JSON.parse(model.get("payload"));
    this.last = this.shown.moments.length - 1;
    this.build();
    this.undo = [followTheme(() => this.look())];
    const follow = (name, act) => {
      model.on(`change:${name}`, act);
      this.undo.push(() => model.off(`change:${name}`, act));
    };
    follow("step", () => this.draw());
    follow("playing", () => this.followPlaying());
    follow("speed", () => this.showSpeed());
    root.addEventListener("keydown", (event) => obeyKey(event, SCHEDULE_KEYS, this));
    this.look();
    this.showSpeed();
    this.draw();
    this.followPlaying();
  }

  get at() { return Math.max(0, Math.min(this.last, this.model.get("step"))); }

  look() { wearTheme(this.root, this.model.get("colours")); }

  build() {
    const {root, shown} = this;
    root.tabIndex = 0;
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `Player of a schedule of ${shown.policy}. Press ? for its keys.`);
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the keys to the player
    const head = make(root, "header", {className: "fh-head"});
    const title = make(head, "div", {className: "fh-title"});
    make(title, "strong", {}, shown.policy);
    make(title, "span", {}, shown.bounds["dirty log"]);
    this.counted = make(make(head, "div", {className: "fh-now"}), "span", {className: "fh-moment"});
    this.sentence = make(root, "p", {className: "fh-sentence", role: "status"});
    this.broken = make(root, "p", {className: "fh-broken", role: "alert"});
    const both = make(root, "div", {className: "fh-schedule"});
    this.buildSteps(make(both, "section", {className: "fh-steps"}));
    this.buildGuest(make(both, "section", {className: "fh-guest"}));
    this.buildControls(make(root, "div", {className: "fh-controls"}));
    this.keys = keyTable(root, SCHEDULE_KEYS, ["A click on a step goes there."]);
  }

  buildSteps(box) {
    make(box, "h3", {}, "Steps");
    this.list = make(box, "ol", {});
    this.items = this.shown.moments.map(({step}, at) => {
      const item = make(this.list, "li", {onclick: () => this.go(at), value: at});
      make(item, "span", {className: "fh-number"}, at ? `${at}` : "");
      item.append(step);
      return item;
    });
  }

  buildGuest(box) {
    make(box, "h3", {}, "The guest's pages");
    const legend = make(box, "div", {className: "fh-legend"});
    for (const [name, words] of CHIPS) {
      const item = make(legend, "span");
      make(item, "i", {className: "fh-chip"}).style.setProperty("--chip", `var(--fh-${name})`);
      item.append(words);
    }
    const table = make(box, "table", {className: "fh-pages"});
    const first = this.shown.moments[0].pages;
    const row = (label, title) => {
      const line = make(table, "tr", {title});
      make(line, "th", {scope: "row"}, label);
      return line;
    };
    const cells = (line, tag = "td") => first.map((_, at) => {
      if (at && at % PAGES_OF_BLOCK === 0) make(line, "td", {className: "fh-gap"});
      return make(line, tag);
    });
    this.numbers = cells(row("page", "the number of the page frame"), "th");
    first.forEach(({page}, at) => write(this.numbers[at], `${page}`));
    this.owners = row("whose", "who has the page");
    this.rows = PAGE_ROWS.map(([label, title]) => cells(row(label, title)));
    const facts = make(box, "div", {className: "fh-places"});
    const place = (title) => {
      const part = make(facts, "section");
      make(part, "h3", {}, title);
      return make(part, "div");
    };
    this.lists = place("Free lists, next at the left");
    this.ring = place(`Ring, ${this.shown.moments[0].ring.length} descriptors`);
    this.states = place("Migration and device");
  }

  buildControls(line) {
    line.dataset.unprinted = "";
    const play = make(line, "div", {className: "fh-buttons"});
    makeButton(play, "before the first step (Home)", "⇤", () => this.go(0));
    makeButton(play, "one step back", "‹", () => this.go(this.at - 1));
    this.playButton = makeButton(play, "play", "▶", () => this.playOrPause());
    makeButton(play, "one step forward", "›", () => this.go(this.at + 1));
    makeButton(play, "after the last step (End)", "⇥", () => this.go(this.last));
    this.speed = make(play, "select", {"aria-label": "steps per second",
      onchange: () => this.save("speed", +this.speed.value)});
    for (const speed of STEP_SPEEDS) make(this.speed, "option", {value: speed}, `${speed}/s`);
    this.scrubber = make(line, "input", {type: "range", min: 0, max: this.last, step: 1,
      className: "fh-scrubber", "aria-label": "step", oninput: () => this.go(+this.scrubber.value)});
    const rest = make(line, "div", {className: "fh-buttons"});
    this.keysButton = makeButton(rest, "keys (?)", "?", () => this.showKeys());
  }

  // Control.

  save(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  go(at) {
    this.save("step", Math.max(0, Math.min(this.last, at)));
    this.draw();
  }

  playOrPause() {
    const playing = !this.model.get("playing");
    if (playing && this.at === this.last) this.go(0);
    this.save("playing", playing);
    this.followPlaying();
  }

  followPlaying() {
    const playing = this.model.get("playing");
    write(this.playButton, playing ? "❚❚" : "▶");
    this.playButton.title = this.playButton.ariaLabel = playing ? "pause" : "play";
    clearTimeout(this.ticking);
    if (!playing) return;
    this.ticking = setTimeout(() => {
      this.go(this.at + 1);
      if (this.at === this.last) this.save("playing", false);
      this.followPlaying();
    }, 1000 / this.model.get("speed"));
  }

  showSpeed() { this.speed.value = this.model.get("speed"); }

  showKeys(shown = this.keys.hidden) {
    this.keys.hidden = !shown;
    this.keysButton.setAttribute("aria-expanded", shown);
  }

  // Showing one moment.

  draw() {
    const at = this.at, moment = this.shown.moments[at];
    write(this.counted, at ? `step ${at} of ${this.last}` : `${this.last} steps`);
    write(this.sentence, at ? `${moment.step[0].toUpperCase()}${moment.step.slice(1)}.` : "Before the first step.");
    const hurt = at === this.last ? this.shown.hurt : [];
    const which = hurt.length ? ` (page${hurt.length > 1 ? "s" : ""} ${hurt.join(", ")})` : "";
    write(this.broken, moment.breaks && `${moment.breaks}${which}.`);
    this.broken.hidden = !moment.breaks;
    this.items.forEach((item, i) => {
      item.classList.toggle("fh-done", i < at);
      item.classList.toggle("fh-breaks", i === at && !!moment.breaks);
      if (i === at) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    this.scrollTo(this.items[at]);
    this.drawPages(moment, this.shown.moments[Math.max(0, at - 1)], hurt);
    this.drawPlaces(moment);
    this.scrubber.value = at;
    this.scrubber.style.setProperty("--upto", `${100 * at / this.last}%`);
    this.root.dataset.step = at;
  }

  // The list begins with a whole item.
  scrollTo(item) {
    const {list} = this, foot = item.offsetTop + item.offsetHeight;
    if (item.offsetTop >= list.scrollTop && foot <= list.scrollTop + list.clientHeight) return;
    const first = this.items.find((one) => foot - one.offsetTop <= list.clientHeight * 0.8) ?? item;
    list.scrollTop = Math.min(first.offsetTop, item.offsetTop);
  }

  drawPages(moment, before, hurt) {
    const onRing = new Set(moment.ring.flatMap(({pages}) => pages));
    const colour = ({page, owner}) => {
      if (owner === "held") return "held";
      if (owner === "free") return onRing.has(page) ? "hinted" : "free";
      return onRing.has(page) ? "stale" : "used";
    };
    // Neighbours with one owner share a cell, as far as their block goes.
    while (this.owners.children.length > 1) this.owners.lastChild.remove();
    let cell = null, like = "";
    moment.pages.forEach((page, i) => {
      const starts = i % PAGES_OF_BLOCK === 0, kind = `${page.owner} ${colour(page)}`;
      if (starts || kind !== like) {
        if (starts && i) make(this.owners, "td", {className: "fh-gap"});
        cell = make(this.owners, "td", {className: "fh-owner", colSpan: 1}, OWNER_WORDS[page.owner] ?? page.owner);
        cell.style.setProperty("--chip", `var(--fh-${colour(page)})`);
      } else cell.colSpan += 1;
      like = kind;
    });
    moment.pages.forEach((page, i) => {
      const old = before.pages[i];
      this.numbers[i].classList.toggle("fh-hurt", hurt.includes(page.page));
      PAGE_ROWS.forEach(([, , say], r) => {
        const mark = this.rows[r][i];
        write(mark, say(page));
        mark.classList.toggle("fh-new", say(page) !== say(old));
        mark.classList.toggle("fh-hurt", hurt.includes(page.page));
        mark.classList.toggle("fh-on", say(page) === "●");
      });
    });
  }

  drawPlaces(moment) {
    const block = (parent, words, name) => {
      const part = make(parent, "span", {className: "fh-piece"}, words);
      part.style.setProperty("--chip", `var(--fh-${name})`);
    };
    this.lists.replaceChildren();
    for (const [order, blocks] of moment.lists) {
      const line = make(this.lists, "div", {});
      make(line, "span", {className: "fh-faint"}, `order ${order} `);
      for (const words of blocks) block(line, words, "free");
    }
    if (!moment.lists.length) make(this.lists, "span", {className: "fh-faint"}, "empty");
    this.ring.replaceChildren();
    const owner = new Map(moment.pages.map(({page, owner}) => [page, owner]));
    for (const {hint, pages} of moment.ring) {
      const taken = pages.some((page) => owner.get(page)?.startsWith("vCPU"));
      block(make(this.ring, "div", {}), hint || "empty", hint ? taken ? "stale" : "hinted" : "panel");
    }
    this.states.replaceChildren();
    for (const [who, does] of [["migration", moment.phase], ["device", moment.device], ["worker", moment.worker]]) {
      const line = make(this.states, "div", {});
      make(line, "span", {className: "fh-faint"}, `${who}: `);
      line.append(does);
    }
  }

  remove() {
    clearTimeout(this.ticking);
    this.undo.forEach((act) => act());
  }
}

function render({model, el}) {
  let player = null;
  const read = () => {
    player?.remove();
    const root = make(null, "div", {className: "fh-player"});
    el.replaceChildren(root);
    player = new SchedulePlayer(model, root);
    root.dataset.ready = "true";
  };
  read();
  model.on("change:payload", read);
  return () => {
    model.off("change:payload", read);
    player.remove();
  };
}

export default {render};
