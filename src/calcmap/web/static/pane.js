// One canvas: a plane of the CT with what lies over it, and the pointer on it.

import { PLANES, fillPlane } from "./volume.js";
import { colourOf, css, edges } from "./overlay.js";

const FILL_ALPHA = 150; // of 255
const MIN_ZOOM = 0.5;
const MAX_ZOOM = 40;
const HU_PER_PIXEL = 2; // of a window drag
const TOUCH_PIXELS_PER_SLICE = 8;

export class Pane {
  /** `view` holds what all panes share; `calciumOf` tells whose calcium this one shows. */
  constructor(name, view, { title, calciumOf }) {
    this.name = name;
    this.plane = PLANES[name];
    this.view = view;
    this.title = title;
    this.calciumOf = calciumOf;
    this.canvas = document.createElement("canvas");
    this.canvas.className = `pane ${name}`;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", title);
    this.context = this.canvas.getContext("2d", { alpha: false });
    [this.nu, this.nw] = this.plane.size(view.volume);
    [this.mmU, this.mmW] = this.plane.mm(view.volume);
    this.ct = buffer(this.nu, this.nw);
    this.over = buffer(this.nu, this.nw);
    this.pointers = new Map();
    this.listen();
  }

  /** Return CSS pixels a millimetre. */
  get scale() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const fit = Math.min(width / (this.nu * this.mmU), height / (this.nw * this.mmW));
    return (fit || 1) * this.view.cameras[this.name].zoom;
  }

  /** Return the transform from pixels of the plane to pixels of the canvas. */
  transform(ratio = 1) {
    const { width, height } = this.canvas.getBoundingClientRect();
    const { u, w } = this.view.cameras[this.name];
    const [a, d] = [this.scale * this.mmU * ratio, this.scale * this.mmW * ratio];
    return new DOMMatrix([a, 0, 0, d, (width / 2) * ratio - u * a, (height / 2) * ratio - w * d]);
  }

  /** Return the voxel under a pointer, `null` beside the image. */
  voxelAt(event) {
    const rect = this.canvas.getBoundingClientRect();
    const point = this.transform().inverse().transformPoint({ x: event.clientX - rect.left, y: event.clientY - rect.top });
    const [u, w] = [Math.floor(point.x), Math.floor(point.y)];
    if (u < 0 || w < 0 || u >= this.nu || w >= this.nw) return null;
    return this.plane.voxel(this.view.volume, this.view.at, u, w);
  }

  draw() {
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const [pxWide, pxHigh] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== pxWide || this.canvas.height !== pxHigh) Object.assign(this.canvas, { width: pxWide, height: pxHigh });
    const { context, view } = this;
    const matrix = this.transform(ratio);
    context.resetTransform();
    context.fillStyle = "#000";
    context.fillRect(0, 0, pxWide, pxHigh);
    context.imageSmoothingEnabled = view.isSmooth;
    fillPlane(this.ct.pixels, view.volume, this.plane, view.at, view.table);
    this.ct.context.putImageData(this.ct.image, 0, 0);
    context.setTransform(matrix);
    context.drawImage(this.ct.canvas, 0, 0);
    if (view.isOverlayOn) this.drawOverlay(matrix, ratio);
    context.resetTransform();
    this.drawCross(matrix, ratio);
    this.drawBrush(matrix, ratio);
    this.drawWords(ratio, pxWide, pxHigh);
  }

  drawOverlay(matrix, ratio) {
    const { context, view } = this;
    const calcium = this.calciumOf();
    if (calcium) {
      const own = this.fillCalcium(calcium);
      context.imageSmoothingEnabled = false;
      context.drawImage(this.over.canvas, 0, 0);
      if (own.size) this.stroke(pathAround(own, this.nu, this.nw), matrix, "#fff", 1.5 * ratio);
    }
    if (view.heart && view.isHeartOn) {
      this.stroke(view.heart.outline(view.volume, this.name, this.plane, view.at), matrix, "rgb(217 180 74 / 0.85)", 1.25 * ratio);
    }
  }

  /** Paint the calcium of this plane; return the pixels of the selected lesion. */
  fillCalcium(calcium) {
    const { view, over } = this;
    over.pixels.fill(0);
    const own = new Set();
    calcium.inPlane(view.volume, this.name, view.at, (i, u, w) => {
      const looks = calcium.looks(i);
      const [red, green, blue] = colourOf(looks, view.palette);
      const alpha = looks.isRejected ? FILL_ALPHA / 2 : FILL_ALPHA;
      over.pixels[w * this.nu + u] = ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
      if (calcium.lesion[i] && calcium.lesion[i] === this.view.selectedNumber(calcium)) own.add(w * this.nu + u);
    });
    over.context.putImageData(over.image, 0, 0);
    return own;
  }

  stroke(path, matrix, colour, lineWidth) {
    const { context } = this;
    const onCanvas = new Path2D();
    onCanvas.addPath(path, matrix);
    context.resetTransform();
    Object.assign(context, { strokeStyle: colour, lineWidth });
    context.stroke(onCanvas);
    context.setTransform(matrix);
  }

  drawCross(matrix, ratio) {
    const { context, view } = this;
    const [u, w] = this.plane.place(view.volume, view.at);
    const { x, y } = matrix.transformPoint({ x: u + 0.5, y: w + 0.5 });
    const gap = 14 * ratio;
    context.strokeStyle = view.mode === "look" ? "rgb(120 170 220 / 0.45)" : "rgb(120 220 255 / 0.95)";
    context.lineWidth = ratio;
    context.beginPath();
    for (const [fromX, fromY, toX, toY] of [
      [0, y, x - gap, y], [x + gap, y, this.canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, this.canvas.height],
    ]) {
      context.moveTo(fromX, fromY);
      context.lineTo(toX, toY);
    }
    context.stroke();
  }

  drawBrush(matrix, ratio) {
    const { view } = this;
    if (this.name !== "axial" || !view.isBrushing) return;
    const isIn = new Set([...view.stroke, ...view.brushAround(view.hover ?? view.at)]);
    this.context.setTransform(matrix);
    const pixels = new Set([...isIn].map((key) => { const [y, x] = key.split(","); return Number(y) * this.nu + Number(x); }));
    this.stroke(pathAround(pixels, this.nu, this.nw), matrix, view.mode === "erase" ? "#ff9a5a" : "#7fd6ff", 1.5 * ratio);
    this.context.resetTransform();
  }

  drawWords(ratio, pxWide, pxHigh) {
    const { context, view } = this;
    const [left, right, top, bottom] = this.plane.letters;
    context.font = `${12 * ratio}px system-ui, sans-serif`;
    context.fillStyle = "#9aa7b5";
    Object.assign(context, { shadowColor: "#000", shadowBlur: 4 * ratio });
    const write = (text, x, y, align, baseline) => {
      Object.assign(context, { textAlign: align, textBaseline: baseline });
      context.fillText(text, x, y);
    };
    const pad = 6 * ratio;
    write(left, pad, pxHigh / 2, "left", "middle");
    write(right, pxWide - pad, pxHigh / 2, "right", "middle");
    write(top, pxWide / 2, pad, "center", "top");
    write(bottom, pxWide / 2, pxHigh - pad, "center", "bottom");
    context.fillStyle = "#d5dde6";
    view.captions(this).forEach((line, n) => write(line, pad, pad + n * 16 * ratio, "left", "top"));
    if (this.name === "axial") write(`W ${Math.round(view.window.width)}  L ${Math.round(view.window.level)}`, pxWide - pad, pad, "right", "top");
    context.shadowBlur = 0;
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.view.hoverOver(null));
  }

  wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) this.zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15, event);
    else if (event.deltaY) this.view.step(this.plane.across, this.upwards(-Math.sign(event.deltaY)));
  }

  /** Rolling up goes towards the head, the front and the right. */
  upwards(sign) { return this.name === "axial" ? sign : -sign; }

  zoomBy(factor, event = null) {
    const camera = this.view.cameras[this.name];
    const rect = this.canvas.getBoundingClientRect();
    const point = event ? { x: event.clientX - rect.left, y: event.clientY - rect.top } : { x: rect.width / 2, y: rect.height / 2 };
    const before = this.transform().inverse().transformPoint(point);
    camera.zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, camera.zoom * factor));
    const after = this.transform().inverse().transformPoint(point);
    camera.u += before.x - after.x;
    camera.w += before.y - after.y;
    this.view.redraw();
  }

  panBy(dx, dy) {
    const camera = this.view.cameras[this.name];
    camera.u -= dx / (this.scale * this.mmU);
    camera.w -= dy / (this.scale * this.mmW);
    this.view.redraw();
  }

  down(event) {
    event.preventDefault();
    document.activeElement?.blur();
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, moved: 0 });
    this.view.focusPane(this);
    const voxel = this.voxelAt(event);
    this.job = this.jobOf(event);
    if (this.job === "pinch") this.view.dropStroke();
    else if (this.job === "brush" && voxel) this.view.paint(voxel, true);
    else if (this.job === "point" && voxel) this.view.pointAt(voxel, this);
  }

  jobOf(event) {
    if (this.pointers.size > 1) return "pinch";
    if (event.button === 2) return "window";
    if (event.button === 1 || event.shiftKey) return "pan";
    if (this.view.isBrushing && this.name === "axial") return "brush";
    return event.pointerType === "touch" && this.view.mode === "look" ? "swipe" : "point";
  }

  move(event) {
    const known = this.pointers.get(event.pointerId);
    if (!known) { this.view.hoverOver(this.voxelAt(event), this); return; }
    const [dx, dy] = [event.clientX - known.x, event.clientY - known.y];
    if (this.job === "pinch") this.pinch(known, event);
    else if (this.job === "window") this.view.windowBy(dx * HU_PER_PIXEL, dy * HU_PER_PIXEL);
    else if (this.job === "pan") this.panBy(dx, dy);
    else if (this.job === "swipe") { if (!this.swipe(known, dy)) { known.moved += Math.abs(dx); return; } }
    else this.drag(event);
    known.moved += Math.abs(dx) + Math.abs(dy);
    Object.assign(known, { x: event.clientX, y: event.clientY });
  }

  drag(event) {
    const voxel = this.voxelAt(event);
    if (voxel && this.job === "brush") this.view.paint(voxel, false);
    else if (voxel && this.job === "point" && this.view.mode === "look") this.view.moveTo(voxel);
  }

  swipe(known, dy) {
    const n = Math.trunc(dy / TOUCH_PIXELS_PER_SLICE);
    if (n) this.view.step(this.plane.across, this.upwards(-n));
    return n !== 0;
  }

  pinch(known, event) {
    const other = [...this.pointers.values()].find((pointer) => pointer !== known);
    if (!other) return;
    const before = Math.hypot(known.x - other.x, known.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    if (before > 0 && after > 0) this.zoomBy(after / before, { clientX: (event.clientX + other.x) / 2, clientY: (event.clientY + other.y) / 2 });
    this.panBy((event.clientX - known.x) / 2, (event.clientY - known.y) / 2);
  }

  up(event) {
    const known = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!known || event.type === "pointercancel") { this.view.dropStroke(); return; }
    if (this.job === "brush") this.view.endStroke();
    else if (this.job === "swipe" && known.moved < 4) { const voxel = this.voxelAt(event); if (voxel) this.view.pointAt(voxel, this); }
    if (this.pointers.size === 0) this.job = null;
  }
}

function buffer(nu, nw) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: nu, height: nw });
  const context = canvas.getContext("2d");
  const image = context.createImageData(nu, nw);
  return { canvas, context, image, pixels: new Uint32Array(image.data.buffer) };
}

/** Return the border around some pixels, given as w * nu + u. */
function pathAround(pixels, nu, nw) {
  let [lowU, lowW, highU, highW] = [nu, nw, 0, 0];
  for (const pixel of pixels) {
    const [u, w] = [pixel % nu, Math.floor(pixel / nu)];
    [lowU, lowW, highU, highW] = [Math.min(lowU, u), Math.min(lowW, w), Math.max(highU, u + 1), Math.max(highW, w + 1)];
  }
  const isIn = (u, w) => u >= 0 && w >= 0 && u < nu && w < nw && pixels.has(w * nu + u);
  return edges(highU, highW, isIn, lowU, lowW);
}
