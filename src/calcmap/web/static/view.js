// What the panes of a study share: where they look, how, and what is being drawn by hand.

import { Pane } from "./pane.js";
import { greys } from "./volume.js";

export const WINDOWS = [
  { key: "1", name: "Soft tissue", width: 400, level: 40 },
  { key: "2", name: "Calcium", width: 800, level: 200 },
  { key: "3", name: "Bone", width: 1800, level: 400 },
  { key: "4", name: "Lung", width: 1500, level: -600 },
  { key: "5", name: "≥ 130 HU", width: 1, level: 129.5 },
];
const NARROWEST = 1;
const WIDEST = 6000;
const MARGIN = 1.35; // of the heart's box: what lies around it is seen too
const MAX_RADIUS = 20;

export class View {
  /** `told` is called with what the reader pointed at or drew: pick, add, stroke, change. */
  constructor(volume, { scan, heartBox, told }) {
    Object.assign(this, { volume, told, heartBox });
    this.at = { z: volume.nz >> 1, y: volume.ny >> 1, x: volume.nx >> 1 };
    this.isOverlayOn = true;
    this.isHeartOn = true;
    this.isSmooth = false;
    this.isCompared = false;
    this.palette = "class";
    this.mode = "look";
    this.radius = 2;
    this.stroke = new Set();
    this.hover = null;
    this.selected = null; // a voxel of the selected lesion
    this.reader = null;
    this.machine = null;
    this.heart = null;
    this.setWindow(WINDOWS[0]);
    this.cameras = Object.fromEntries(["axial", "coronal", "sagittal"].map((name) => [name, { zoom: 1, u: 0, w: 0 }]));
    this.panes = {
      axial: new Pane("axial", this, { title: "Axial", calciumOf: () => this.reader }),
      machine: new Pane("axial", this, { title: "Axial, machine's result", calciumOf: () => this.machine }),
      coronal: new Pane("coronal", this, { title: "Coronal", calciumOf: () => this.reader }),
      sagittal: new Pane("sagittal", this, { title: "Sagittal", calciumOf: () => this.reader }),
    };
    this.focused = this.panes.axial;
    this.resizing = new ResizeObserver(() => this.fitOnce());
    for (const pane of Object.values(this.panes)) this.resizing.observe(pane.canvas);
    this.isFitted = false;
  }

  /** Draw no more, and let go of everything that takes memory. */
  stop() {
    this.resizing.disconnect();
    this.isStopped = true;
    for (const pane of Object.values(this.panes)) pane.release();
    Object.assign(this, { reader: null, machine: null, heart: null });
  }

  get isBrushing() { return this.mode === "split" || this.mode === "erase"; }

  redraw() {
    if (this.isWaiting || this.isStopped) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      if (this.isStopped) return;
      for (const pane of Object.values(this.panes)) if (pane.canvas.isConnected) pane.draw();
    });
  }

  /** The number of the selected lesion in a list of calcium, 0 for none. */
  selectedNumber(calcium) {
    if (!this.selected) return 0;
    const { z, y, x } = this.selected;
    const key = `${z},${y},${x}`;
    if (calcium.numberedFor !== key) Object.assign(calcium, { numberedFor: key, numbered: calcium.lesionAt(this.volume.index(z, y, x)) });
    return calcium.numbered;
  }

  // Where it looks

  moveTo(voxel) {
    const { nz, ny, nx } = this.volume;
    const inside = (n, high) => Math.max(0, Math.min(high - 1, n));
    this.at = { z: inside(voxel.z, nz), y: inside(voxel.y, ny), x: inside(voxel.x, nx) };
    this.volume.wanted = this.at.z;
    this.told.moved?.();
    this.redraw();
  }

  step(axis, by) { this.moveTo({ ...this.at, [axis]: this.at[axis] + by }); }

  /** Bring a voxel into sight in every plane. */
  show(voxel) {
    this.moveTo(voxel);
    for (const pane of Object.values(this.panes)) {
      const [u, w] = pane.plane.place(this.volume, this.at);
      const { width, height } = pane.canvas.getBoundingClientRect();
      const { x, y } = pane.transform().transformPoint({ x: u + 0.5, y: w + 0.5 });
      if (width && (x < 20 || y < 20 || x > width - 20 || y > height - 20)) Object.assign(this.cameras[pane.name], { u: u + 0.5, w: w + 0.5 });
    }
    this.redraw();
  }

  fitOnce() {
    if (!this.isFitted) this.fit(this.heartBox !== null);
    this.isFitted = true;
    this.redraw();
  }

  /** Show the heart's surroundings, or all of each plane. */
  fit(isHeart) {
    this.isHeartFitted = isHeart && this.heartBox !== null;
    for (const name of ["axial", "coronal", "sagittal"]) {
      const pane = this.panes[name];
      const camera = this.cameras[name];
      Object.assign(camera, { zoom: 1, u: pane.nu / 2, w: pane.nw / 2 });
      if (!this.isHeartFitted) continue;
      const [low, high] = this.heartBox;
      const ends = [low, high].map((at) => pane.plane.place(this.volume, at));
      const [u, w] = [0, 1].map((n) => Math.min(ends[0][n], ends[1][n]));
      const [nu, nw] = [0, 1].map((n) => Math.abs(ends[1][n] - ends[0][n]) + 1);
      const { width, height } = pane.canvas.getBoundingClientRect();
      const scale = Math.min(width / (nu * pane.mmU * MARGIN), height / (nw * pane.mmW * MARGIN));
      Object.assign(camera, { u: u + nu / 2, w: w + nw / 2, zoom: Math.max(1, scale / pane.scale) || 1 });
    }
    this.redraw();
  }

  // How it looks

  setWindow({ width, level }) {
    this.window = { width: Math.max(NARROWEST, Math.min(WIDEST, width)), level: Math.max(-2000, Math.min(4000, level)) };
    this.table = greys(this.window.width, this.window.level);
    this.told?.windowed?.();
    this.redraw();
  }

  /** Tell the panes that a finger is changing the window. */
  showWindowing(isWindowing) { this.isWindowing = isWindowing; this.redraw(); }

  windowBy(width, level) { this.setWindow({ width: this.window.width + width, level: this.window.level + level }); }

  toggle(name) { this[name] = !this[name]; this.told.toggled?.(); this.redraw(); }

  focusPane(pane) { this.focused = pane; }

  captions(pane) {
    const { at, volume } = this;
    const hover = this.hover ?? at;
    if (pane.name !== "axial") return [`${pane.title} ${at[pane.plane.across]}`];
    const state = volume.isHere[at.z] ? "" : "  loading";
    const hu = volume.isHere[hover.z] ? `${volume.hu[volume.index(hover.z, hover.y, hover.x)]} HU` : "";
    const whose = this.isCompared ? (pane === this.panes.machine ? "Machine  " : "Reader  ") : "";
    return [`${whose}slice ${at.z} of 0–${volume.nz - 1}${state}`, `${hu}  row ${hover.y} column ${hover.x}`];
  }

  hoverOver(voxel, pane = null) {
    this.hover = voxel && pane && pane.name === "axial" ? voxel : null;
    if (pane === null || pane.name === "axial") this.redraw();
  }

  // What is pointed at and drawn

  setMode(mode) {
    this.mode = this.mode === mode ? "look" : mode;
    this.stroke = new Set();
    this.told.toggled?.();
    this.redraw();
  }

  setRadius(radius) { this.radius = Math.max(0, Math.min(MAX_RADIUS, radius)); this.told.toggled?.(); this.redraw(); }

  pointAt(voxel, pane) {
    this.moveTo(voxel);
    if (this.mode === "add") this.told.add(voxel);
    else if (this.mode === "look") this.told.pick(voxel, pane);
  }

  /** Return the pixels of the slice under the brush, as "row,column". */
  brushAround({ y, x }) {
    const keys = [];
    const { radius } = this;
    for (let dy = -radius; dy <= radius; dy += 1) {
      for (let dx = -radius; dx <= radius; dx += 1) {
        const [row, column] = [y + dy, x + dx];
        const isInside = row >= 0 && column >= 0 && row < this.volume.ny && column < this.volume.nx;
        if (isInside && dy * dy + dx * dx <= (radius + 0.5) ** 2) keys.push(`${row},${column}`);
      }
    }
    return keys;
  }

  paint(voxel, isStart) {
    if (isStart) { this.stroke = new Set(); this.lastPainted = voxel; this.at = { ...this.at, y: voxel.y, x: voxel.x }; }
    const steps = Math.max(1, Math.abs(voxel.y - this.lastPainted.y), Math.abs(voxel.x - this.lastPainted.x));
    for (let n = 0; n <= steps; n += 1) {
      const part = (axis) => Math.round(this.lastPainted[axis] + ((voxel[axis] - this.lastPainted[axis]) * n) / steps);
      for (const key of this.brushAround({ y: part("y"), x: part("x") })) this.stroke.add(key);
    }
    this.lastPainted = voxel;
    this.hover = voxel;
    this.redraw();
  }

  /** Hand over what was brushed in this slice. */
  endStroke() {
    if (!this.stroke.size) return;
    const pixels = [...this.stroke].map((key) => key.split(",").map(Number));
    this.told.stroke(this.mode, this.at.z, pixels);
  }

  dropStroke() { this.stroke = new Set(); this.redraw(); }
}

/** Return the corners of the heart's box as voxels of the scan, from its patient coordinates. */
export function voxelBox(scan, box) {
  if (!box) return null;
  const [a, b, c] = scan.affine_lps_mm;
  const det = (m) => m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
  const matrix = [a, b, c].map((row) => row.slice(0, 3));
  const whole = det(matrix);
  return box.map((corner) => {
    const offset = corner.map((mm, n) => mm - [a, b, c][n][3]);
    const solved = [0, 1, 2].map((column) => {
      const voxel = Math.round(det(matrix.map((row, n) => row.map((value, k) => (k === column ? offset[n] : value)))) / whole);
      return Math.max(0, Math.min(scan.shape[2 - column] - 1, voxel));
    });
    return { x: solved[0], y: solved[1], z: solved[2] };
  });
}
