// The player: it reacts to the user and to the model, and shows one moment.

class Player extends Instant {
  constructor(model, root, trajectory) {
    super();
    Object.assign(this, {model, root, trajectory, payload: model.get("payload")});
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
    this.timeline.setWindow(...this.window);
    new Controls(this);
    this.listen();
    this.look();
    this.followModel();
  }

  // Colours and sizes, which change with the theme and with the size of the page.

  look(ratio = window.devicePixelRatio || 1) {
    const colours = wearTheme(this.root, this.model.get("colours"));
    const style = getComputedStyle(this.root), font = parseFloat(style.fontSize);
    // JupyterLab hides its page while the theme changes: the sizes then stay as they were.
    if (this.page.mapCanvas.clientWidth) this.layOut(ratio, font);
    else if (!this.map.ratio) return; // not shown yet
    this.timeline.theme = {...colours, family: style.fontFamily};
    for (const picture of [this.map, this.lists]) picture.colour(this.timeline.theme);
    this.page.drawLegends(this.map.lens, this.lists.has);
    this.showWindow();
    this.draw();
  }

  layOut(ratio, font) {
    const mapWidth = this.page.mapCanvas.clientWidth;
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
    this.timeline.layOut(this.page.timeCanvas.clientWidth, ratio, font);
    const {gutter, margin} = this.timeline;
    this.page.scrubber.style.width = `${this.page.timeCanvas.clientWidth - gutter - margin}px`;
    this.page.scrubber.style.marginLeft = `${gutter}px`;
  }

  // Control.

  listen() {
    const again = () => this.look();
    let width = 0; // A longer sentence makes the page higher, which changes no canvas.
    const resized = new ResizeObserver(() => {
      if (this.root.clientWidth !== width) again();
      width = this.root.clientWidth;
    });
    resized.observe(this.root);
    window.addEventListener("resize", again);
    this.undo.push(followTheme(again), () => {
      resized.disconnect();
      window.removeEventListener("resize", again);
    });
  }

  followModel() {
    const follow = (name, act) => {
      this.model.on(`change:${name}`, act);
      this.undo.push(() => this.model.off(`change:${name}`, act));
    };
    follow("moment", () => this.followMoment());
    follow("time_ns", () => this.followTime());
    follow("window_ns", () => this.showWindow());
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

  // Keys without a place of their own.

  showKeys(shown = this.page.keys.hidden) {
    this.page.keys.hidden = !shown;
    this.page.keysButton.setAttribute("aria-expanded", shown);
  }

  escape() {
    if (this.page.keys.hidden) this.pin(null);
    this.showKeys(false);
  }

  panMap(up) {
    this.map.pan(0, up * this.map.tall * 2);
    this.draw();
  }

  savePicture() {
    this.look(PRINT_RATIO);
    const picture = paint(this.root, PRINT_RATIO);
    this.look();
    const policies = this.trajectory.meta.policies.join("+").replace(/[^\w.+-]+/g, "_") || "none";
    download(picture, `freehint-${policies}-${formatTime(this.now).replace(" ", "")}.png`);
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
    this.timeline.draw(this.now);
    this.page.scrubber.value = this.now;
    const sentence = this.facts.write(moment, this.now, this.marks[0]);
    this.told = `${formatTime(this.now)}: ${sentence}`;
    this.page.scrubber.setAttribute("aria-valuetext", formatTime(this.now));
    this.root.dataset.moment = moment;
    this.root.dataset.timeNs = this.now;
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
