// The bar at the right of an axial pane: where in the scan the slice is, and which slices hold calcium.

import { colourOf, css } from "./overlay.js";

export const BAR_PIXELS = 14;
const TOUCH_PIXELS = 32; // what a finger has to hit
const PAD = 10;
const TRACK = "rgb(43 50 58 / 0.9)";
const LOADING = "rgb(20 24 28 / 0.9)";
const HERE = "#6fb1ef";
const RANKS = { coronary: 3, noncoronary: 2, rejected: 1 };

export class SliceBar {
  constructor(pane) {
    this.pane = pane;
    this.marks = { of: null, palette: "", colours: [] };
  }

  isAt(event, isTouch) {
    const { right } = this.pane.canvas.getBoundingClientRect();
    return event.clientX > right - (isTouch ? TOUCH_PIXELS : BAR_PIXELS) && event.button === 0;
  }

  /** Go to the slice at a pointer: the head is up. */
  goTo(event) {
    const { top, height } = this.pane.canvas.getBoundingClientRect();
    const { view } = this.pane;
    const part = (event.clientY - top - PAD) / (height - 2 * PAD);
    view.moveTo({ ...view.at, z: Math.round((1 - part) * (view.volume.nz - 1)) });
  }

  draw(context, ratio, wide, high) {
    const { view } = this.pane;
    const { nz, isHere, nHere } = view.volume;
    const [left, width, top, height] = [wide - BAR_PIXELS * ratio, BAR_PIXELS * ratio, PAD * ratio, high - 2 * PAD * ratio];
    const step = height / nz;
    const place = (z) => top + (nz - 1 - z) * step;
    context.fillStyle = nHere === nz ? TRACK : LOADING;
    context.fillRect(left, top, width, height);
    if (nHere < nz) {
      context.fillStyle = TRACK;
      for (let z = 0; z < nz; z += 1) if (isHere[z]) context.fillRect(left, place(z), width, Math.ceil(step));
    }
    if (view.isOverlayOn) {
      this.colours().forEach((colour, z) => {
        context.fillStyle = colour;
        context.fillRect(left + 3 * ratio, place(z), width - 6 * ratio, Math.max(step, ratio));
      });
    }
    context.fillStyle = HERE;
    context.fillRect(left, place(view.at.z) + step / 2 - ratio, width, 2 * ratio);
  }

  /** Return the colour of each slice that holds calcium: coronary before noncoronary before rejected. */
  colours() {
    const { view } = this.pane;
    const calcium = this.pane.calciumOf();
    if (!calcium) return [];
    if (this.marks.of === calcium && this.marks.palette === view.palette) return this.marks.colours;
    const area = view.volume.ny * view.volume.nx;
    const [colours, ranks] = [[], []];
    for (let i = 0; i < calcium.n; i += 1) {
      const z = Math.floor(calcium.index[i] / area);
      const looks = calcium.looks(i);
      const rank = looks.isRejected ? RANKS.rejected : RANKS[looks.isCoronary ? "coronary" : "noncoronary"];
      if (calcium.lesion[i] && rank > (ranks[z] ?? 0)) { ranks[z] = rank; colours[z] = css(colourOf(looks, view.palette)); }
    }
    this.marks = { of: calcium, palette: view.palette, colours };
    return colours;
  }
}
