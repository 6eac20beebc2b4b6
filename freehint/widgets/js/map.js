// The map of physical memory: one tile per page or pageblock, in the order of addresses.

const LENSES = {
  type: "migratetype",
  hints: "hints",
  migration: "migration",
};

class MemoryMap {
  constructor(canvas, trajectory) {
    this.canvas = canvas;
    this.trajectory = trajectory;
    this.context = canvas.getContext("2d", {alpha: false});
    this.drawn = null; // the moment that the tiles show
    this.zoom = 1;
    this.x = this.y = 0; // the upper left corner of the part in sight, in tiles
    this.lens = "hints";
    this.outlines = [];
    this.names = Object.entries(trajectory.meta.names).map(([pfn, name]) => ({pfn: +pfn, name}));
    this.isPages = trajectory.meta.cell_shift === 0;
  }

  // Choose the tiles per row that make tiles as large as possible; leave out rows of mere holes.
  layOut(width, height, ratio, font) {
    this.gutter = Math.round(font * 5.2);
    this.font = font;
    const best = {small: 0};
    for (let columns = 8; columns <= 256; columns *= 2) {
      const rows = this.rowsOf(columns), wide = (width - this.gutter) / columns;
      const tall = Math.min(1.5 * wide, height / rows.length), small = Math.min(wide, tall);
      if (small > best.small) Object.assign(best, {small, wide, tall, columns, rows});
    }
    Object.assign(this, best, {ratio});
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.tall * this.rows.length * ratio);
    this.canvas.style.height = `${this.tall * this.rows.length}px`;
    this.place = new Map(this.rows.map((first, row) => [first / this.columns, row]));
    this.drawn = null;
  }

  rowsOf(columns) {
    const {cells} = this.trajectory, rows = [];
    for (let first = 0; first < cells; first += columns) {
      for (let cell = first; cell < Math.min(cells, first + columns); cell++) {
        if (this.trajectory.typeOf(0, cell) !== HOLE) { rows.push(first); break; }
      }
    }
    return rows;
  }

  colour(theme) {
    this.theme = theme;
    this.types = this.trajectory.meta.migratetypes.map((name) => theme[name]);
    this.pale = this.types.map((colour) => mix(colour, theme.paper, 0.78));
    this.middle = this.types.map((colour) => mix(colour, theme.paper, 0.4));
    this.drawn = null;
  }

  // Width and height of a tile on the screen.
  get sides() {
    return [this.wide * this.zoom, this.tall * this.zoom];
  }

  // [x, y] of a cell's corner on the screen in CSS pixels; null if its row is left out.
  corner(cell) {
    const row = this.place.get(Math.floor(cell / this.columns));
    if (row === undefined) return null;
    const [wide, tall] = this.sides;
    return [this.gutter + (cell % this.columns - this.x) * wide, (row - this.y) * tall];
  }

  cellAt(x, y) {
    const [wide, tall] = this.sides;
    const column = Math.floor((x - this.gutter) / wide + this.x);
    const row = Math.floor(y / tall + this.y);
    if (x < this.gutter || column >= this.columns || row < 0 || row >= this.rows.length) return -1;
    const cell = this.rows[row] + column;
    const real = cell < this.trajectory.cells;
    return real && this.trajectory.typeOf(this.moment ?? 0, cell) !== HOLE ? cell : -1;
  }

  zoomTo(zoom, x, y) {
    const before = this.sides;
    const column = (x - this.gutter) / before[0] + this.x, row = y / before[1] + this.y;
    this.zoom = Math.min(32, Math.max(1, zoom));
    const after = this.sides;
    this.x = column - (x - this.gutter) / after[0];
    this.y = row - y / after[1];
    this.keepInside();
  }

  pan(dx, dy) {
    this.x -= dx / this.sides[0];
    this.y -= dy / this.sides[1];
    this.keepInside();
  }

  keepInside() {
    this.x = Math.max(0, Math.min(this.columns * (1 - 1 / this.zoom), this.x));
    this.y = Math.max(0, Math.min(this.rows.length * (1 - 1 / this.zoom), this.y));
    this.drawn = null;
  }

  draw(moment, outlines) {
    const {context, ratio} = this;
    this.moment = moment;
    if (!this.mustDraw(moment, outlines)) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const width = this.canvas.width / ratio, height = this.canvas.height / ratio;
    const afresh = this.drawn === null;
    if (afresh) {
      context.fillStyle = this.theme.paper;
      context.fillRect(0, 0, width, height);
    }
    context.save();
    context.beginPath();
    context.rect(this.gutter, 0, width - this.gutter, height);
    context.clip();
    this.drawTiles(moment, afresh, height);
    this.drawOutlines(outlines);
    context.restore();
    if (afresh) this.drawAddresses(height);
    this.drawn = moment;
  }

  // Does anything differ from what the tiles show?
  mustDraw(moment, outlines) {
    if (this.drawn === null || JSON.stringify(outlines) !== JSON.stringify(this.outlines)) return true;
    const {cells, channels} = this.trajectory;
    for (let cell = 0; cell < cells; cell++) {
      if (!this.isSame(cell, moment * cells, this.drawn * cells, channels, moment)) return true;
    }
    this.drawn = moment;
    return false;
  }

  drawTiles(moment, afresh, height) {
    const {trajectory, columns, context, theme} = this, {cells, channels} = trajectory;
    const [wide, tall] = this.sides;
    const gap = tall >= 6 ? 1 : tall >= 3 ? 0.5 : 0;
    const touched = new Set(this.outlines.flatMap((outline) => this.cellsOf(outline)));
    const first = Math.max(0, Math.floor(this.y));
    const last = Math.min(this.rows.length, Math.ceil(this.y + height / tall));
    const now = moment * cells, before = (this.drawn ?? 0) * cells;
    for (let row = first; row < last; row++) {
      const end = Math.min(cells, this.rows[row] + columns);
      for (let cell = this.rows[row]; cell < end; cell++) {
        if (!afresh && !touched.has(cell) && this.isSame(cell, now, before, channels, moment)) continue;
        const [x, y] = this.corner(cell);
        context.fillStyle = theme.paper;
        if (gap) context.fillRect(x, y, wide, tall);
        this.drawTile(cell, moment, x, y, wide - gap, tall - gap);
      }
    }
    this.drawNames();
  }

  isSame(cell, now, before, channels, moment) {
    for (const levels of channels) if (levels[now + cell] !== levels[before + cell]) return false;
    return this.trajectory.typeOf(moment, cell) === this.trajectory.typeOf(this.drawn, cell);
  }

  drawTile(cell, moment, ...tile) {
    const type = this.trajectory.typeOf(moment, cell), {theme} = this;
    const at = moment * this.trajectory.cells + cell;
    const [free, pcp, held, hinted, stale, reused, left] = this.trajectory.channels.map((c) => c[at] / 255);
    if (type === HOLE) return;
    if (this.lens === "type") {
      this.stack(tile, this.pale[type], [
        [free, this.types[type]], [pcp, this.middle[type]], [held, theme.held],
      ]);
      if (hinted > 0) this.hatch(tile, Math.min(free, hinted));
    } else if (this.lens === "migration") {
      this.stack(tile, theme.used, [[left, theme.left]]);
    } else {
      this.stack(tile, theme.used, [
        [Math.min(free, hinted), theme.hinted], [Math.max(0, free - hinted), theme.free],
        [pcp, theme.pcp], [held, theme.held], [reused, theme.reused],
      ]);
    }
    if (stale > 0 && this.lens !== "migration") this.notch(tile, stale);
  }

  // Draw shares of a tile from its foot up, over the colour of memory in use.
  stack([x, y, wide, tall], ground, shares) {
    const {context} = this;
    context.fillStyle = ground;
    context.fillRect(x, y, wide, tall);
    let foot = y + tall;
    for (const [share, colour] of shares) {
      if (share <= 0) continue;
      const height = Math.min(foot - y, Math.max(share * tall, 0.7));
      context.fillStyle = colour;
      context.fillRect(x, foot - height, wide, height);
      foot -= height;
    }
  }

  // Draw lines across the foot of a tile, over the share that has a hint.
  hatch([x, y, wide, tall], share) {
    const {context} = this, height = share * tall;
    context.fillStyle = this.theme.paper;
    if (tall < 5) {
      context.fillRect(x + wide / 3, y + tall - Math.max(1, height / 2), wide / 3, 1);
      return;
    }
    const step = Math.max(3, tall / 4);
    for (let line = y + tall - step / 2 - 1; line > y + tall - height; line -= step) {
      context.fillRect(x, line, wide, 1);
    }
  }

  // Mark the share of pages that were taken while on the ring, in a corner or the whole tile.
  notch([x, y, wide, tall], share) {
    const {context} = this;
    context.fillStyle = this.theme.stale;
    if (this.isPages) {
      context.fillRect(x, y, wide, tall);
      return;
    }
    const reach = Math.max(2, tall * Math.min(1, 0.35 + share));
    context.beginPath();
    context.moveTo(x + wide - reach, y);
    context.lineTo(x + wide, y);
    context.lineTo(x + wide, y + reach);
    context.fill();
  }

  cellsOf({node, size}) {
    const {cell_shift: shift} = this.trajectory.meta, found = [];
    for (let cell = node >> shift; cell <= (node + size - 1) >> shift; cell++) found.push(cell);
    return found;
  }

  drawOutlines(outlines) {
    const {context, theme} = this, [wide, tall] = this.sides;
    for (const outline of outlines) {
      const inside = new Set(this.cellsOf(outline));
      context.fillStyle = outline.pinned ? theme.ink : theme.faint;
      const thick = Math.max(1.5, Math.min(3, tall / 5));
      for (const cell of inside) {
        const at = this.corner(cell);
        if (!at) continue;
        const [x, y] = at, column = cell % this.columns;
        if (!inside.has(cell - this.columns)) context.fillRect(x, y, wide, thick);
        if (!inside.has(cell + this.columns)) context.fillRect(x, y + tall - thick, wide, thick);
        if (!column || !inside.has(cell - 1)) context.fillRect(x, y, thick, tall);
        if (column === this.columns - 1 || !inside.has(cell + 1)) {
          context.fillRect(x + wide - thick, y, thick, tall);
        }
      }
    }
    this.outlines = outlines;
  }

  drawNames() {
    if (!this.names.length) return;
    const {context, theme} = this, {base_pfn: base, cell_shift: shift} = this.trajectory.meta;
    context.font = `700 ${this.font}px ${theme.family}`;
    context.textAlign = "left";
    context.textBaseline = "top";
    for (const {pfn, name} of this.names) {
      const at = this.corner((pfn - base) >> shift);
      if (!at) continue;
      context.fillStyle = theme.paper;
      context.fillRect(at[0] + 2, at[1] + 2, this.font * 1.2, this.font * 1.2);
      context.fillStyle = theme.ink;
      context.fillText(name, at[0] + 2 + this.font * 0.25, at[1] + 2 + this.font * 0.12);
    }
  }

  drawAddresses(height) {
    const {context, theme} = this, tall = this.sides[1];
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, this.gutter, height);
    context.fillStyle = theme.faint;
    context.font = `${this.font * 0.85}px ${theme.family}`;
    context.textAlign = "right";
    context.textBaseline = "top";
    let free = -1;
    for (let row = Math.floor(this.y); row < this.rows.length; row++) {
      const y = (row - this.y) * tall;
      if (y < free || y > height - this.font) continue;
      const {base_pfn: base, cell_shift: shift} = this.trajectory.meta;
      const pfn = base + this.rows[row] * 2 ** shift;
      context.fillText(formatAddress(pfn), this.gutter - 8, y);
      free = y + this.font * 2.6;
    }
  }
}

function mix(colour, other, share) {
  const parts = [colour, other].map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
  const mixed = parts[0].map((part, i) => Math.round(part * (1 - share) + parts[1][i] * share));
  return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
