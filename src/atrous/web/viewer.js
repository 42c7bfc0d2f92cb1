// The image, the colors of its labels over it, and marks over both; all drawn here, so that nothing waits.

const SVG = "http://www.w3.org/2000/svg";
const IGNORED = 255;

export class Viewer {
  constructor(element) {
    this.frame = element.querySelector(".at-frame");
    this.photo = element.querySelector(".at-photo");
    this.colors = element.querySelector(".at-colors");
    this.marks = element.querySelector(".at-marks");
    this.hidden = new Set();
    this.palette = [];
    this.labels = null;
  }

  // An image (anything that canvases draw) and its size in pixels.
  showImage(image, width, height) {
    [this.width, this.height] = [width, height];
    for (const canvas of [this.photo, this.colors]) [canvas.width, canvas.height] = [width, height];
    this.photo.getContext("2d").drawImage(image, 0, 0);
    this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.frame.style.setProperty("--shape", width / height);
    this.frame.classList.toggle("at-small", width < 400);
    this.clear();
  }

  // Labels, one byte a pixel, and the color (#rrggbb) of each.
  showLabels(labels, palette) {
    this.labels = labels;
    this.palette = palette;
    this.paint();
  }

  showPicture(image) {
    this.labels = null;
    this.colors.getContext("2d").drawImage(image, 0, 0);
  }

  setOpacity(share) { this.frame.style.setProperty("--opacity", share); }

  setHidden(label, isHidden) {
    if (isHidden) this.hidden.add(label); else this.hidden.delete(label);
    this.paint();
  }

  paint() {
    if (!this.labels) return;
    const context = this.colors.getContext("2d");
    const picture = context.createImageData(this.width, this.height);
    const bytes = new Uint8Array(4 * 256);
    this.palette.forEach((color, label) => {
      if (this.hidden.has(label)) return;
      const number = parseInt(color.slice(1), 16);
      bytes.set([number >> 16, (number >> 8) & 255, number & 255, 255], 4 * label);
    });
    bytes.fill(0, 4 * IGNORED);
    const table = new Uint32Array(bytes.buffer), pixels = new Uint32Array(picture.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = table[this.labels[i]];
    context.putImageData(picture, 0, 0);
  }

  // The pixel under the pointer.
  at(event) {
    const box = this.frame.getBoundingClientRect();
    const inside = (share, size) => Math.min(Math.max(Math.floor(share * size), 0), size - 1);
    return [
      inside((event.clientX - box.left) / box.width, this.width),
      inside((event.clientY - box.top) / box.height, this.height),
    ];
  }

  clear() {
    this.marks.replaceChildren();
    this.frame.classList.remove("at-looking");
  }

  markPixel(x, y, box) {
    this.clear();
    const scale = this.width / Math.max(this.frame.clientWidth, 1);
    if (box) {
      const inset = 2 * scale; // what lies beyond the image ends at its border
      const [left, top] = [Math.max(box.left, inset), Math.max(box.top, inset)];
      const right = Math.min(box.left + box.width, this.width - inset);
      const bottom = Math.min(box.top + box.height, this.height - inset);
      const place = { x: left, y: top, width: right - left, height: bottom - top };
      this.draw("rect", { ...place, class: "at-box-rim" });
      this.draw("rect", { ...place, class: "at-box" });
    }
    const middle = { cx: x + 0.5, cy: y + 0.5, r: 6 * scale };
    this.draw("circle", { ...middle, class: "at-dot-rim" });
    this.draw("circle", { ...middle, class: "at-dot" });
  }

  markHeat(heat) {
    const image = this.draw("image", {
      x: heat.left, y: heat.top, width: heat.width, height: heat.height, preserveAspectRatio: "none",
      href: `data:image/png;base64,${heat.png}`, class: "at-warm",
    });
    this.marks.prepend(image);
  }

  draw(kind, attributes) {
    const node = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    this.marks.append(node);
    return node;
  }

  setLooking(isLooking) { this.frame.classList.toggle("at-looking", isLooking && !!this.marks.querySelector("image")); }
}
