// Keys and pointer.

// The keys of the player, with what the table of keys ("?") says about them.
const KEYS = [
  {keys: [" "], shown: ["space"], says: "play or pause", act: (p) => p.playOrPause()},
  {keys: ["ArrowLeft", "ArrowRight"], shown: ["←", "→"], says: "one moment back or forward; with shift, ten",
    act: (p, {key, shiftKey}) => p.step((key === "ArrowLeft" ? -1 : 1) * (shiftKey ? 10 : 1))},
  {keys: ["Home", "End"], shown: ["Home", "End"], says: "the first or the last moment",
    act: (p, {key}) => p.goTo(key === "Home" ? 0 : p.trajectory.moments - 1, {moves: false})},
  {keys: ["n", "p"], shown: ["n", "p"], says: "the next or the previous event of the kind chosen",
    act: (p, {key}) => p.toEvent(key === "n" ? 1 : -1)},
  {keys: ["w", "s"], shown: ["w", "s"], says: "zoom into the time axis, or out of it",
    act: (p, {key}) => p.zoomTime(key === "w" ? 0.5 : 2)},
  {keys: ["a", "d"], shown: ["a", "d"], says: "move the time axis to earlier or later times",
    act: (p, {key}) => p.panTime(key === "a" ? -0.25 : 0.25)},
  {keys: ["f"], shown: ["f"], says: "the whole run on the time axis", act: (p) => p.setWindow([])},
  {keys: ["+", "=", "-", "0"], shown: ["+", "−", "0"], says: "zoom into the map, out of it, or show all of it",
    act: (p, {key}) => p.zoomBy({"-": 0.5, 0: 1 / p.map.zoom}[key] ?? 2)},
  {keys: ["ArrowUp", "ArrowDown"], shown: ["↑", "↓"], says: "move the zoomed map",
    act: (p, {key}) => p.panMap(key === "ArrowUp" ? 1 : -1)},
  {keys: ["e"], shown: ["e"], says: "save a picture (PNG)", act: (p) => p.savePicture()},
  {keys: ["?"], shown: ["?"], says: "show or hide this table", act: (p) => p.showKeys()},
  {keys: ["Escape"], shown: ["Esc"], says: "hide this table, or unpin the block", act: (p) => p.escape()},
];
const GESTURES = [
  "On the tracks, a click or a drag chooses the time; with shift, or on the times below them, a drag "
  + "moves the time axis.",
  "The wheel zooms the map or the time axis under the pointer once the player has the focus; with "
  + "shift it moves the time axis.",
];

class Controls {
  constructor(player) {
    this.player = player;
    const {page, root} = player;
    root.addEventListener("keydown", (event) => obeyKey(event, KEYS, player));
    this.listenToMap(page.mapCanvas);
    this.listenToLists(page.listCanvas, page.listScroller);
    this.listenToTime(page.timeCanvas);
  }

  // If the player does not have the focus, the wheel scrolls the notebook.
  takesWheel(event) {
    if (!event.ctrlKey && !this.player.root.contains(document.activeElement)) return false;
    event.preventDefault();
    return true;
  }

  listenToMap(canvas) {
    const {player} = this, {map} = player;
    const under = (event) => player.blockOf(map.cellAt(event.offsetX, event.offsetY));
    let dragged = null;
    canvas.addEventListener("pointerdown", (event) => {
      dragged = {x: event.offsetX, y: event.offsetY, far: false};
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!dragged) { player.hover(under(event)); return; }
      const dx = event.offsetX - dragged.x, dy = event.offsetY - dragged.y;
      if (!dragged.far && Math.hypot(dx, dy) < 4) return;
      dragged = {x: event.offsetX, y: event.offsetY, far: true};
      map.pan(dx, dy);
      player.draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (dragged && !dragged.far) player.pin(under(event));
      dragged = null;
    });
    canvas.addEventListener("pointerleave", () => player.hover(null));
    canvas.addEventListener("wheel", (event) => {
      if (!this.takesWheel(event)) return;
      player.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, [event.offsetX, event.offsetY]);
    }, {passive: false});
  }

  listenToLists(canvas, scroller) {
    const {player} = this, {lists} = player;
    scroller.addEventListener("scroll", () => player.drawListsAlone());
    for (const scrolled of ["wheel", "pointerdown"]) {
      scroller.addEventListener(scrolled, () => { lists.following = false; });
    }
    const under = (event) => lists.blockAt(event.offsetX, event.offsetY);
    canvas.addEventListener("pointermove", (event) => player.hover(under(event)));
    canvas.addEventListener("pointerleave", () => player.hover(null));
    canvas.addEventListener("click", (event) => player.pin(under(event)));
  }

  listenToTime(canvas) {
    const {player} = this, {timeline} = player;
    let pans = false, x = 0;
    const go = (event) => player.goToTime(timeline.timeAt(event.offsetX), {moves: false});
    canvas.addEventListener("pointerdown", (event) => {
      pans = event.shiftKey || event.offsetY > timeline.foot - 5;
      x = event.offsetX;
      canvas.setPointerCapture(event.pointerId);
      if (!pans) go(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      canvas.style.cursor = event.offsetY > timeline.foot - 5 ? "grab" : "crosshair";
      if (!(event.buttons & 1)) canvas.title = timeline.wordsAt(event.offsetX, event.offsetY);
      else if (!pans) go(event);
      else {
        player.panTime((x - event.offsetX) / timeline.room);
        x = event.offsetX;
      }
    });
    canvas.addEventListener("wheel", (event) => {
      if (!this.takesWheel(event)) return;
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (sideways) player.panTime((event.deltaX || event.deltaY) / 1000);
      else player.zoomTime(event.deltaY < 0 ? 0.8 : 1.25, timeline.timeAt(event.offsetX));
    }, {passive: false});
  }
}
