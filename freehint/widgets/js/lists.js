// The free lists as chains: head at the left, tail at the right, hidden blocks between as a number.

const GAP_SLOTS = 5; // room in a long list between the blocks near its head and near its tail ..
const GAP_EMS = 4.2; // .. and the least room, for the number of hidden blocks

class Lists {
  constructor(canvas, scroller, trajectory) {
    this.canvas = canvas;
    this.scroller = scroller;
    this.trajectory = trajectory;
    this.context = canvas.getContext("2d", {alpha: false});
    const private_ = trajectory.zones * trajectory.listsPerZone;
    const largest = trajectory.meta.zones.map((zone, i) => [zone.present_pages, i])
      .sort((a, b) => b[0] - a[0]).map(([, i]) => i);
    const rank = (list) => {
      if (list >= private_) return list - private_; // Private lists come first.
      const {zone, order, type} = trajectory.listOf(list);
      const movableFirst = type === 1 ? 0 : type + 1;
      return 1000 + ((NR_ORDERS - order) * trajectory.zones + largest.indexOf(zone)) * 8 + movableFirst;
    };
    this.lists = [...trajectory.rowsOfList.keys()].sort((a, b) => rank(a) - rank(b));
    const longest = this.lists.flatMap((list) => trajectory.rowsOfList.get(list))
      .reduce((most, row) => Math.max(most, trajectory.window(row).entries.length), 1);
    this.isLarge = longest <= 24;
    this.slots = this.isLarge ? longest : 80;
    this.names = trajectory.meta.names;
    this.before = new Map();
    this.following = true;
    this.walked = -1; // the row of the list that is being walked
    this.has = {held: this.lists.some((list) => list >= private_)};
    for (const entry of trajectory.arrays["entries"]) {
      if (entry >= PRIVATE) this.has[entry & 1 ? "end" : "cursor"] = true;
      else if (entry & MARKED) this.has.first = true;
    }
    if (trajectory.arrays["bookmark"].some((list, i) => i % 2 === 0 && list >= 0)) this.has.cursor = true;
  }

  layOut(width, ratio, font) {
    this.font = font;
    this.ratio = ratio;
    this.label = Math.round(font * 15.5);
    this.rowHeight = this.rowHeightFor(font);
    this.lift = this.rowHeight * 0.4;
    this.pad = this.lift * 0.6; // room above the first row for blocks that move
    const most = this.isLarge ? font * 4 : font * 1.4;
    const room = width - this.label - font * 3, gap = this.isLarge ? 0 : font * GAP_EMS;
    this.slot = Math.min(most, (room - gap) / this.slots);
    this.gap = Math.max(gap, GAP_SLOTS * this.slot);
    this.width = width;
    this.height = this.scroller.clientHeight;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.height = `${this.height}px`;
    this.before = new Map();
  }

  rowHeightFor(font) {
    return Math.round(font * (this.isLarge ? 3.4 : 1.75));
  }

  get contentHeight() {
    return this.lists.length * this.rowHeight + this.pad;
  }

  colour(theme) {
    this.theme = theme;
    this.drawn = null;
    this.walkedColour = mix(theme.line, theme.paper, 0.4);
    this.inFlight = mix(theme.hinted, theme.paper, 0.62);
  }

  // Scroll to the list that is being walked, until the user scrolls.
  follow(moment) {
    this.walked = this.lists.indexOf(this.trajectory.walkedList(moment));
    if (!this.following || this.walked < 0) return;
    const top = this.pad + this.walked * this.rowHeight, {scrollTop} = this.scroller;
    const hidden = top < scrollTop || top + this.rowHeight > scrollTop + this.height;
    if (hidden) this.scroller.scrollTop = top - this.height / 2;
  }

  // All entries of the rows in sight, node -> {x, row, entry}, and the rows themselves.
  items(moment) {
    const found = new Map(), top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor((top - this.pad) / this.rowHeight));
    const last = Math.min(this.lists.length, Math.ceil((top + this.height) / this.rowHeight));
    for (let row = first; row < last; row++) {
      const {entries, fromHead, blocks} = this.trajectory.window(
        this.trajectory.row(this.lists[row], moment));
      let x = this.label;
      const hidden = blocks - entries.filter((entry) => entry < PRIVATE).length;
      const gap = hidden ? this.gap : 0;
      const line = {row, blocks, fromHead, hidden, gap, shown: entries.length};
      found.set(`row${row}`, line);
      entries.forEach((entry, i) => {
        if (i === fromHead) x += gap;
        const narrow = entry >= PRIVATE;
        found.set(narrow ? `p${entry}.${row}` : entry & NODE_MASK, {x, row, entry});
        x += narrow ? Math.max(6, this.slot * 0.3) : this.slot;
      });
      line.end = x;
    }
    return found;
  }

  // Draw a moment, or an animation's step from the moment before to it: ``progress`` is below 1.
  draw(moment, progress, marked) {
    const same = this.inSight(moment, marked);
    if (progress >= 1 && same === this.drawn) return false;
    this.drawn = progress >= 1 ? same : null;
    const now = this.items(moment);
    const {context, theme, ratio} = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, this.width + 1, this.height + 1);
    const moving = [];
    for (const [key, item] of now) {
      if (item.shown !== undefined) { this.drawRow(item, moment); continue; }
      const old = progress < 1 ? this.before.get(key) : undefined;
      if (old && (old.x !== item.x || old.row !== item.row)) moving.push([item, old]);
      else this.drawItem(item, item.x, this.top(item.row), marked, old ? 1 : progress);
    }
    // Entries that move far are drawn last, above the others.
    moving.sort((a, b) => Math.abs(a[0].x - a[1].x) - Math.abs(b[0].x - b[1].x));
    const eased = progress < 0.5 ? 2 * progress ** 2 : 1 - 2 * (1 - progress) ** 2;
    for (const [item, old] of moving) {
      // A block that moves towards the tail passes over the others, which close up behind it.
      const lift = item.x > old.x + 1.5 * this.slot ? Math.sin(Math.PI * eased) * this.lift : 0;
      const x = old.x + (item.x - old.x) * eased;
      const y = this.top(old.row) + (this.top(item.row) - this.top(old.row)) * eased - lift;
      this.drawItem(item, x, y, marked, 1);
    }
    if (progress >= 1) this.before = now;
    this.shown = now;
    return moving.length > 0;
  }

  // Everything that determines the picture, as text.
  inSight(moment, marked) {
    const {trajectory: t} = this, {scrollTop} = this.scroller;
    const first = Math.max(0, Math.floor((scrollTop - this.pad) / this.rowHeight));
    const rows = this.lists.slice(first, first + Math.ceil(this.height / this.rowHeight) + 2)
      .map((list) => t.row(list, moment));
    const bookmarks = t.arrays["bookmark"].subarray(moment * t.users * 2, (moment + 1) * t.users * 2);
    return JSON.stringify([scrollTop, rows, [...bookmarks], marked, this.walked]);
  }

  top(row) {
    return this.pad + row * this.rowHeight - this.scroller.scrollTop;
  }

  drawRow(row, moment) {
    const {context, theme, font} = this, y = this.top(row.row), middle = y + this.rowHeight / 2;
    const list = this.trajectory.listOf(this.lists[row.row]);
    if (row.row === this.walked) {
      context.fillStyle = this.walkedColour;
      context.fillRect(0, y + 1, this.label - font * 0.6, this.rowHeight - 2);
    }
    context.textBaseline = "middle";
    context.font = `${font * 0.92}px ${theme.family}`;
    context.textAlign = "left";
    context.fillStyle = row.row === this.walked ? theme.ink : theme.faint;
    if (list.user !== undefined) {
      context.fillText(`held by ${this.trajectory.meta.policies[list.user] ?? "a policy"}`, font * 0.4, middle);
    } else {
      context.fillText(this.trajectory.meta.zones[list.zone].name, font * 0.4, middle);
      context.fillText(shortType(this.trajectory.meta.migratetypes[list.type]), font * 6.5, middle);
      context.fillStyle = theme.ink;
      context.textAlign = "right";
      context.font = `600 ${font}px ${theme.family}`;
      context.fillText(list.order, font * 5.8, middle);
    }
    context.textAlign = "right";
    context.fillStyle = row.blocks ? theme.ink : theme.faint;
    context.font = `${font * 0.92}px ${theme.family}`;
    context.fillText(row.blocks.toLocaleString("en"), this.label - font, middle);
    context.fillStyle = theme.line;
    context.fillRect(this.label, middle - 0.5, Math.max(0, row.end - this.label), 1);
    if (row.shown > row.fromHead) this.drawGap(row, moment, middle);
  }

  drawGap(row, moment, middle) {
    const {context, theme, font} = this;
    const item = [...this.trajectory.window(this.trajectory.row(this.lists[row.row], moment)).entries];
    const narrow = item.slice(0, row.fromHead).filter((entry) => entry >= PRIVATE).length;
    const x = this.label + (row.fromHead - narrow) * this.slot
      + narrow * Math.max(6, this.slot * 0.3);
    const width = row.gap;
    if (row.hidden) {
      context.fillStyle = theme.paper;
      context.fillRect(x + 1, middle - this.rowHeight / 2, width - 2, this.rowHeight);
      context.fillStyle = theme.faint;
      context.textAlign = "center";
      context.font = `${font * 0.82}px ${theme.family}`;
      context.fillText(`+${row.hidden.toLocaleString("en")}`, x + width / 2, middle);
    }
    for (let user = 0; user < this.trajectory.users; user++) {
      const at = (moment * this.trajectory.users + user) * 2;
      const [list, position] = this.trajectory.arrays["bookmark"].subarray(at, at + 2);
      const tail = row.blocks - (item.length - row.fromHead);
      if (list === this.lists[row.row] && position >= row.fromHead && position <= tail) {
        const share = (position - row.fromHead) / Math.max(1, tail - row.fromHead);
        this.drawCursor(x + share * width, middle - this.rowHeight / 2);
      }
    }
  }

  drawItem({entry, row}, x, y, marked, alpha) {
    const {context, theme, slot} = this;
    if (entry >= PRIVATE) {
      if (entry & 1) this.drawEnd(x, y); else this.drawCursor(x, y);
      return;
    }
    const gap = this.isLarge ? slot * 0.14 : Math.max(1, slot * 0.16);
    const height = this.isLarge ? this.rowHeight * 0.62 : this.rowHeight * 0.66;
    const top = y + (this.rowHeight - height) / 2, node = entry & NODE_MASK;
    const held = this.trajectory.listOf(this.lists[row]).user !== undefined;
    context.globalAlpha = alpha;
    context.fillStyle = held ? theme.held : entry & HOST_HAS ? theme.hinted
      : entry & IN_FLIGHT ? this.inFlight : theme.free;
    context.beginPath();
    context.roundRect(x, top, slot - gap, height, this.isLarge ? 5 : 2);
    context.fill();
    if (entry & IN_FLIGHT) {
      context.strokeStyle = theme.hinted;
      context.lineWidth = this.isLarge ? 2.5 : 1.2;
      context.stroke();
    }
    if (entry & MARKED) {
      context.fillStyle = theme.ink;
      context.fillRect(x, top + height + 2, slot - gap, 2);
    }
    const mark = marked.find((one) => node >= one.node && node < one.node + one.size);
    if (mark) {
      context.strokeStyle = theme.ink;
      context.lineWidth = mark.pinned ? 2.5 : 1.5;
      context.stroke();
    }
    if (this.isLarge) this.drawName(node, x + (slot - gap) / 2, top + height / 2, entry);
    context.globalAlpha = 1;
  }

  drawName(node, x, y, entry) {
    const {context, theme, font} = this;
    const pfn = node + this.trajectory.meta.base_pfn, name = this.names[pfn];
    context.fillStyle = entry & HOST_HAS ? "#FFFFFF" : "#000000";
    if (!(entry & HOST_HAS) && entry & IN_FLIGHT) context.fillStyle = theme.ink;
    context.font = name ? `700 ${font * 1.2}px ${theme.family}` : `${font * 0.8}px ${theme.family}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(name ?? pfn, x, y + 1, this.slot * 0.8);
  }

  // Draw a bookmark; the walk continues after it.
  drawCursor(x, y) {
    const {context, theme} = this, reach = Math.max(3, this.font * 0.3);
    context.fillStyle = theme.cursor;
    context.fillRect(x, y + 1, 2, this.rowHeight - 2);
    context.beginPath();
    context.moveTo(x - reach + 1, y + 1);
    context.lineTo(x + reach + 1, y + 1);
    context.lineTo(x + 1, y + 1 + reach * 1.4);
    context.fill();
  }

  // Draw an END; the blocks after it were reported and rotated.
  drawEnd(x, y) {
    const {context, theme} = this;
    context.fillStyle = theme.faint;
    context.fillRect(x, y + this.rowHeight * 0.2, 1.5, this.rowHeight * 0.6);
    context.fillRect(x + 3, y + this.rowHeight * 0.2, 1.5, this.rowHeight * 0.6);
  }

  // The block under a point, {node, size}; null if there is none.
  blockAt(x, y) {
    const row = Math.floor((y + this.scroller.scrollTop - this.pad) / this.rowHeight);
    for (const [key, item] of this.shown ?? []) {
      if (item.row !== row || typeof key === "string") continue;
      if (x >= item.x && x < item.x + this.slot) {
        const {order} = this.trajectory.listOf(this.lists[row]);
        return {node: key, size: order === undefined ? 1 : 1 << order};
      }
    }
    return null;
  }
}

function shortType(name) {
  return name[0] + name.slice(1).toLowerCase();
}
