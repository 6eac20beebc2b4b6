// The player: it reacts to the user and to the model, and shows one moment.

class Player {
  constructor(model, root, trajectory) {
    Object.assign(this, {model, root, trajectory});
    this.hovered = null;
    this.tween = null;
    this.undo = [];
    this.page = new Page(root, trajectory, this);
    this.facts = new Facts(this.page, trajectory);
    this.map = new MemoryMap(this.page.mapCanvas, trajectory);
    this.lists = new Lists(this.page.listCanvas, this.page.listScroller, trajectory);
    this.timeline = new Timeline(this.page.timeCanvas, this.page.playhead, trajectory);
    this.map.lens = model.get("lens");
    this.map.zoom = model.get("zoom");
    this.listen();
    this.look();
    this.followModel();
  }

  get moment() {
    return Math.max(0, Math.min(this.trajectory.moments - 1, this.model.get("moment")));
  }

  // Colours and sizes, which change with the theme and with the size of the page.

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
    const mapWidth = this.page.mapCanvas.clientWidth;
    if (!mapWidth) return; // not shown yet
    // The map is as tall as the elements beside it, if there are any.
    const map = this.page.mapCanvas.getBoundingClientRect();
    const block = this.page.block.getBoundingClientRect();
    const least = block.left > map.right ? block.top + 8.6 * font - map.top : 0;
    const wished = Math.min(mapWidth * 0.56, innerHeight * 0.37);
    this.map.layOut(mapWidth, Math.max(240, least, wished), ratio, font);
    this.map.keepInside();
    const rows = this.lists.lists.length;
    const rowHeight = this.lists.rowHeightFor(font);
    const shown = Math.min(rows, Math.max(5, Math.floor(innerHeight * 0.165 / rowHeight)));
    this.page.listScroller.style.height = `${(shown + 0.3) * rowHeight}px`;
    this.lists.layOut(this.page.listScroller.clientWidth, ratio, font);
    this.page.listSpacer.style.height = `${this.lists.contentHeight}px`;
    this.timeline.layOut(this.page.timeCanvas.clientWidth, ratio, font, this.page.buttons.offsetWidth);
    const {gutter, margin} = this.timeline;
    this.page.scrubber.style.width = `${this.page.timeCanvas.clientWidth - gutter - margin}px`;
    this.page.scrubber.style.marginRight = `${margin}px`;
    for (const picture of [this.map, this.lists, this.timeline]) picture.colour(theme);
    this.page.drawLegends(this.map.lens, this.lists.has);
    this.draw();
  }

  // Control.

  listen() {
    const {root} = this;
    root.addEventListener("keydown", (event) => this.onKey(event));
    this.page.listScroller.addEventListener("scroll", () => this.drawListsAlone());
    this.page.mapCanvas.addEventListener("pointermove", (event) => this.onMapMove(event));
    this.page.mapCanvas.addEventListener("pointerdown", (event) => this.onMapDown(event));
    this.page.mapCanvas.addEventListener("pointerup", (event) => this.onMapUp(event));
    this.page.mapCanvas.addEventListener("pointerleave", () => this.hover(null));
    this.page.mapCanvas.addEventListener("wheel", (event) => this.onWheel(event), {passive: false});
    for (const scrolled of ["wheel", "pointerdown"]) {
      this.page.listScroller.addEventListener(scrolled, () => { this.lists.following = false; });
    }
    const under = (event) => this.lists.blockAt(event.offsetX, event.offsetY);
    this.page.listCanvas.addEventListener("pointermove", (event) => this.hover(under(event)));
    this.page.listCanvas.addEventListener("pointerleave", () => this.hover(null));
    this.page.listCanvas.addEventListener("click", (event) => this.pin(under(event)));
    const goUnder = (event) => this.goTo(this.timeline.momentAt(event.offsetX), {moves: false});
    this.page.timeCanvas.addEventListener("pointerdown", goUnder);
    this.page.timeCanvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) goUnder(event);
    });
    const again = () => this.look();
    const resized = new ResizeObserver(again);
    resized.observe(root);
    window.addEventListener("resize", again);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    const themed = new MutationObserver(again);
    themed.observe(document.body, {attributes: true, attributeFilter: ["data-jp-theme-light"]});
    this.undo.push(() => {
      resized.disconnect();
      themed.disconnect();
      scheme.removeEventListener("change", again);
      window.removeEventListener("resize", again);
    });
  }

  followModel() {
    const follow = (name, act) => {
      this.model.on(`change:${name}`, act);
      this.undo.push(() => this.model.off(`change:${name}`, act));
    };
    follow("moment", () => { if (!this.going && this.moment !== this.shownMoment) this.show({moves: true}); });
    follow("playing", () => this.followPlaying());
    follow("speed", () => this.showSpeed());
    follow("selected", () => this.draw());
    follow("lens", () => this.showLens());
    follow("zoom", () => {
      const zoom = this.model.get("zoom");
      if (this.map.zoom !== zoom) this.zoomBy(zoom / this.map.zoom);
    });
    this.showSpeed();
    this.followPlaying();
  }

  onKey(event) {
    // Otherwise JupyterLab would use the arrows and Enter for its cells.
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 10 : 1, pan = this.map.tall * 2;
    if (event.target === this.page.speed && event.key.startsWith("Arrow")) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return;
    const acts = {
      " ": () => this.playOrPause(),
      ArrowLeft: () => this.step(-by),
      ArrowRight: () => this.step(by),
      Home: () => this.goTo(0, {moves: false}),
      End: () => this.goTo(this.trajectory.moments - 1, {moves: false}),
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
    this.goTo(this.moment + by, {moves: Math.abs(by) === 1});
  }

  goTo(moment, how) {
    this.going = true; // so that the model's change event does not show the moment again
    this.model.set("moment", Math.max(0, Math.min(this.trajectory.moments - 1, moment)));
    this.going = false;
    this.show(how);
    this.saveSoon();
  }

  // Save a little later, because saving each moment played would send a message for each.
  saveSoon() {
    this.saving ??= setTimeout(() => {
      this.saving = null;
      this.model.save_changes();
    }, 200);
  }

  playOrPause() {
    this.play(!this.model.get("playing"));
  }

  chooseSpeed(speed) {
    this.model.set("speed", speed);
    this.model.save_changes();
  }

  play(playing) {
    if (playing && this.moment === this.trajectory.moments - 1) this.goTo(0, {moves: false});
    if (playing) this.lists.following = true;
    this.model.set("playing", playing);
    this.model.save_changes();
    this.followPlaying();
  }

  followPlaying() {
    const playing = this.model.get("playing");
    write(this.page.playButton, playing ? "❚❚" : "▶");
    this.page.playButton.setAttribute("aria-label", playing ? "pause" : "play");
    this.page.playButton.title = playing ? "pause" : "play";
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
    const moments = Math.floor((now - this.due) * speed / 1000);
    if (moments > 0) {
      this.due += moments * 1000 / speed;
      if (now - this.due > 500) this.due = now; // The page was out of sight.
      const next = Math.min(this.trajectory.moments - 1, this.moment + moments);
      this.goTo(next, {moves: moments === 1, within: 850 / speed});
      if (next === this.trajectory.moments - 1) { this.play(false); return; }
    }
    this.ticking = requestAnimationFrame((time) => this.tick(time));
  }

  showSpeed() {
    this.page.speed.value = this.model.get("speed");
  }

  chooseLens(lens) {
    this.model.set("lens", lens);
    this.model.save_changes();
    this.showLens();
  }

  showLens() {
    this.map.lens = this.model.get("lens");
    this.map.drawn = null;
    this.page.drawLegends(this.map.lens, this.lists.has);
    this.draw();
  }

  zoomBy(factor, at) {
    const {map} = this, chosen = this.model.get("selected");
    const {base_pfn: base, cell_shift: shift} = this.trajectory.meta;
    const cell = chosen < 0 ? null : map.corner((chosen - base) >> shift);
    const middle = [(map.gutter + this.page.mapCanvas.clientWidth) / 2, this.page.mapCanvas.clientHeight / 2];
    map.zoomTo(map.zoom * factor, ...(at ?? cell ?? middle));
    this.model.set("zoom", map.zoom);
    this.saveSoon();
    this.draw();
  }

  onWheel(event) {
    // If the player does not have the focus, the wheel scrolls the notebook.
    if (!event.ctrlKey && !this.root.contains(document.activeElement)) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, [event.offsetX, event.offsetY]);
  }

  onMapDown(event) {
    this.dragged = {x: event.offsetX, y: event.offsetY, far: false};
    this.page.mapCanvas.setPointerCapture(event.pointerId);
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

  // The free block that holds a cell's first page; the cell itself if no such block is known.
  blockOf(cell) {
    if (cell < 0) return null;
    const shift = this.trajectory.meta.cell_shift, node = cell * 2 ** shift;
    const block = this.trajectory.findBlock(this.moment, node);
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
    this.pinnedSize = block?.size;
    this.model.set("selected", block && !same ? block.node + base : -1);
    this.model.save_changes();
    this.draw();
  }

  // The blocks to outline in the map and the lists: the pinned one and the one under the pointer.
  marked() {
    const chosen = this.model.get("selected"), found = [];
    if (chosen >= 0) {
      const node = chosen - this.trajectory.meta.base_pfn;
      const block = this.trajectory.findBlock(this.moment, node);
      if (block?.first === node) this.pinnedSize = 2 ** (block.order ?? 0);
      const size = this.pinnedSize ?? 2 ** this.trajectory.meta.cell_shift;
      found.push({node, size, pinned: true});
    }
    if (this.hovered) found.unshift({...this.hovered, pinned: false});
    return found;
  }

  // Showing one moment.

  show({moves = false, within = 320}) {
    const last = this.shownMoment;
    if (this.tween) this.finishTween();
    this.shownMoment = this.moment;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const long = Math.min(within, 450);
    if (moves && !calm && last !== undefined && Math.abs(last - this.moment) === 1 && long > 60) {
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
    const moving = this.lists.draw(this.moment, progress, this.marks);
    if (progress >= 1 || !moving) { this.finishTween(); return; }
    this.tween.next = requestAnimationFrame((time) => this.tweenOn(time));
  }

  finishTween() {
    cancelAnimationFrame(this.tween.next);
    this.tween = null;
    this.lists.draw(this.shownMoment, 1, this.marks);
  }

  drawListsAlone() {
    if (this.tween) this.finishTween();
    this.lists.draw(this.moment, 1, this.marks ?? []);
  }

  draw(progress = 1) {
    if (!this.map.theme) return;
    const moment = this.moment;
    this.shownMoment = moment;
    this.marks = this.marked();
    this.map.draw(moment, this.marks);
    this.lists.follow(moment);
    this.lists.draw(moment, progress, this.marks);
    this.timeline.draw(moment);
    this.page.scrubber.value = moment;
    const {time, moments} = this.trajectory;
    this.told = `${formatTime(time[moment])}, moment ${moment + 1} of ${moments}`;
    this.page.scrubber.setAttribute("aria-valuetext", this.told);
    this.facts.write(moment, this.marks[0]);
    this.root.dataset.moment = moment;
    this.root.dispatchEvent(new CustomEvent("freehint:drawn", {detail: {moment}}));
    if (!this.model.get("playing")) this.announce();
  }

  announce() {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => write(this.page.spoken, this.told ?? ""), 600);
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
  let player = null, asked = 0;
  const read = async () => {
    const mine = ++asked, bytes = model.get("payload");
    const view = new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength);
    const trajectory = readPayload(await inflate(view));
    if (mine !== asked) return; // A newer run has come meanwhile.
    const root = make(null, "div", {className: "fh-player"});
    const scrolled = player?.page.listScroller.scrollTop ?? 0;
    const focused = player?.root.contains(document.activeElement);
    if (player) player.root.replaceWith(root);
    else el.append(root);
    player?.remove();
    player = new Player(model, root, trajectory);
    player.page.listScroller.scrollTop = scrolled;
    if (focused) root.focus({preventScroll: true});
    root.dataset.ready = "true";
  };
  await read();
  model.on("change:payload", read);
  return () => {
    model.off("change:payload", read);
    player.remove();
  };
}

export default {render};
