// One canvas: a plane of the CT with what lies over it, and the pointer on it.

import { PLANES, fillPlane } from "./volume.js";
import { colourOf, edges } from "./overlay.js";
import { Gestures } from "./gestures.js";
import { BAR_PIXELS, SliceBar } from "./slicebar.js";

const FILL_ALPHA = 185; // of 255
const MIN_ZOOM = 0.5;
const MAX_ZOOM = 40;

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
    this.bar = name === "axial" ? new SliceBar(this) : null;
    this.drawn = { ct: "", over: "", table: null, calcium: null, own: null };
    this.gestures = new Gestures(this);
  }

  /** Give the pixels back; the pane is drawn no more. */
  release() {
    for (const canvas of [this.canvas, this.ct.canvas, this.over.canvas]) Object.assign(canvas, { width: 0, height: 0 });
    this.ct = this.over = null;
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
    this.fillCt();
    context.setTransform(matrix);
    context.drawImage(this.ct.canvas, 0, 0);
    if (view.isOverlayOn) this.drawOverlay(matrix, ratio);
    context.resetTransform();
    this.drawCross(matrix, ratio);
    this.drawBrush(matrix, ratio);
    this.bar?.draw(context, ratio, pxWide, pxHigh);
    this.drawWords(ratio, pxWide, pxHigh);
    this.describe();
  }

  /** Say in words what the pane shows. */
  describe() {
    const { view } = this;
    const { width, level } = view.window;
    const last = { z: view.volume.nz, y: view.volume.ny, x: view.volume.nx }[this.plane.across] - 1;
    const zoom = view.cameras[this.name].zoom.toFixed(2);
    this.canvas.setAttribute("aria-label", `${this.title}, ${this.bar ? "slice" : "plane"} ${view.at[this.plane.across]} of 0 to ${last}, window ${Math.round(width)}, level ${Math.round(level)}, zoom ${zoom}`);
  }

  /** Paint the plane's pixels, unless they are those of the last time. */
  fillCt() {
    const { view, drawn } = this;
    const key = `${view.at[this.plane.across]} ${view.volume.nHere}`;
    if (drawn.ct === key && drawn.table === view.table) return;
    Object.assign(drawn, { ct: key, table: view.table });
    fillPlane(this.ct.pixels, view.volume, this.plane, view.at, view.table);
    this.ct.context.putImageData(this.ct.image, 0, 0);
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

  /** Paint the calcium of this plane, unless it is that of the last time; return the pixels of the selected lesion. */
  fillCalcium(calcium) {
    const { view, over, drawn } = this;
    const key = `${view.at[this.plane.across]} ${view.palette} ${view.selectedNumber(calcium)}`;
    if (drawn.over === key && drawn.calcium === calcium) return drawn.own;
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
    Object.assign(drawn, { over: key, calcium, own });
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
    const edge = pxWide - pad - (this.bar ? BAR_PIXELS * ratio : 0);
    write(left, pad, pxHigh / 2, "left", "middle");
    write(right, edge, pxHigh / 2, "right", "middle");
    write(top, pxWide / 2, pad, "center", "top");
    write(bottom, pxWide / 2, pxHigh - pad, "center", "bottom");
    context.fillStyle = "#d5dde6";
    view.captions(this).forEach((line, n) => write(line, pad, pad + n * 16 * ratio, "left", "top"));
    if (view.isWindowing) context.fillStyle = "#6fb1ef";
    if (this.bar) write(`W ${Math.round(view.window.width)}  L ${Math.round(view.window.level)}`, edge, pad, "right", "top");
    context.shadowBlur = 0;
  }

  /** Rolling up goes towards the head, the front and the right. */
  stepAcross(sign) { this.view.step(this.plane.across, this.name === "axial" ? sign : -sign); }

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

  /** Return what a fingertip means: the nearest lesion, or where one is to be added the densest free voxel under it. */
  meantAt(event, reach) {
    const exact = this.voxelAt(event);
    if (!exact) return null;
    const { view } = this;
    const { volume, at, reader } = view;
    if (!reader || !volume.isHere[exact.z]) return exact;
    const isAdding = view.mode === "add";
    const number = ({ z, y, x }) => reader.lesionAt(volume.index(z, y, x));
    if (!isAdding && number(exact)) return exact;
    const [u0, w0] = this.plane.place(volume, exact);
    const [nearU, nearW] = [this.mmU, this.mmW].map((mm) => Math.ceil(reach / (this.scale * mm)));
    let best = { voxel: exact, worth: isAdding ? volume.hu[volume.index(exact.z, exact.y, exact.x)] : -Infinity };
    for (let w = Math.max(0, w0 - nearW); w <= Math.min(this.nw - 1, w0 + nearW); w += 1) {
      for (let u = Math.max(0, u0 - nearU); u <= Math.min(this.nu - 1, u0 + nearU); u += 1) {
        const pixels = Math.hypot((u - u0) * this.mmU, (w - w0) * this.mmW) * this.scale;
        const voxel = this.plane.voxel(volume, at, u, w);
        if (pixels > reach || (number(voxel) !== 0) === isAdding) continue;
        const worth = isAdding ? volume.hu[volume.index(voxel.z, voxel.y, voxel.x)] : -pixels;
        if (worth > best.worth) best = { voxel, worth };
      }
    }
    return best.voxel;
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
