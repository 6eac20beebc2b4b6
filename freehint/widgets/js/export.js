// The player as one PNG: what the page shows, painted anew at a higher resolution.

const PRINT_RATIO = 2.5; // pixels per CSS pixel

// Paint an element and what is in it; elements with data-unprinted are left out.
function paint(root, ratio) {
  const origin = root.getBoundingClientRect();
  const [last] = [...root.querySelectorAll("[data-unprinted=foot]")];
  const height = (last?.getBoundingClientRect().top ?? origin.bottom) - origin.top + 6;
  const canvas = make(null, "canvas", {width: Math.round(origin.width * ratio),
    height: Math.round(height * ratio)});
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, -origin.left * ratio, -origin.top * ratio);
  for (const element of [root, ...root.querySelectorAll("*")]) {
    if (element.closest("[data-unprinted]")) continue;
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (style.visibility === "hidden" || !box.width || !box.height) continue;
    paintBox(context, style, box);
    if (element.tagName === "CANVAS") context.drawImage(element, box.left, box.top, box.width, box.height);
    else paintWords(context, element, style, box);
  }
  return canvas;
}

function paintBox(context, style, box) {
  const border = parseFloat(style.borderTopWidth);
  context.globalAlpha = +style.opacity;
  context.beginPath();
  context.roundRect(box.left, box.top, box.width, box.height, parseFloat(style.borderRadius) || 0);
  context.fillStyle = style.backgroundColor;
  context.fill();
  if (border && style.borderTopStyle !== "none" && style.borderLeftStyle !== "none") {
    context.strokeStyle = style.borderTopColor;
    context.lineWidth = border;
    context.stroke();
  }
  context.globalAlpha = 1;
}

// Paint the words of an element one by one, each where the page has it.
function paintWords(context, element, style, box) {
  context.save();
  if (style.overflow !== "visible") {
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
  }
  context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  context.fillStyle = style.color;
  context.textBaseline = "alphabetic";
  const up = context.measureText("x").fontBoundingBoxAscent;
  for (const node of element.childNodes) {
    if (node.nodeType !== Node.TEXT_NODE) continue;
    for (const {0: word, index} of node.data.matchAll(/\S+/g)) {
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const at = range.getBoundingClientRect();
      context.fillText(word, at.left, at.top + up);
    }
  }
  context.restore();
}

function download(canvas, name) {
  canvas.toBlob((blob) => {
    const link = make(null, "a", {href: URL.createObjectURL(blob), download: name});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
