// What wheel, mouse, pen and fingers do on one pane.

const HU_PER_PIXEL = 2; // of a window drag
const TOUCH_PIXELS_PER_SLICE = 8;
const HOLD_MS = 450; // a finger that rests so long changes the window
const DOUBLE_TAP_MS = 350;
const STILL_PIXELS = 6; // a finger that moves less rests, or taps
const FINGERTIP_PIXELS = 16; // around a tap within which calcium is meant

export class Gestures {
  constructor(pane) {
    this.pane = pane;
    this.view = pane.view;
    this.pointers = new Map();
    this.job = null;
    this.lastTap = { time: -Infinity, x: 0, y: 0 };
    const { canvas } = pane;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.view.hoverOver(null));
  }

  wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) this.pane.zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15, event);
    else if (event.deltaY) this.pane.stepAcross(-Math.sign(event.deltaY));
  }

  down(event) {
    event.preventDefault();
    document.activeElement?.blur();
    this.pane.canvas.setPointerCapture(event.pointerId);
    const { clientX: x, clientY: y } = event;
    this.pointers.set(event.pointerId, { x, y, startX: x, startY: y });
    this.view.focusPane(this.pane);
    clearTimeout(this.holding);
    this.job = this.jobOf(event);
    const voxel = this.pane.voxelAt(event);
    if (this.job === "pinch") this.view.dropStroke();
    else if (this.job === "bar") this.pane.bar.goTo(event);
    else if (this.job === "brush" && voxel) this.view.paint(voxel, true);
    else if (this.job === "point" && voxel) this.view.pointAt(voxel, this.pane);
    else if (this.job === "swipe") this.holding = setTimeout(() => this.startWindow(), HOLD_MS);
  }

  jobOf(event) {
    const isTouch = event.pointerType === "touch";
    if (this.pointers.size > 1) return "pinch";
    if (this.pane.bar?.isAt(event, isTouch)) return "bar";
    if (event.button === 2) return "window";
    if (event.button === 1 || event.shiftKey) return "pan";
    if (this.view.isBrushing && this.pane.name === "axial") return "brush";
    return isTouch ? "swipe" : "point";
  }

  /** A finger rested: from here on it changes the window, as the right button of a mouse does. */
  startWindow() {
    this.job = "window";
    this.view.showWindowing(true);
    navigator.vibrate?.(10);
  }

  move(event) {
    const known = this.pointers.get(event.pointerId);
    if (!known) { this.view.hoverOver(this.pane.voxelAt(event), this.pane); return; }
    const [dx, dy] = [event.clientX - known.x, event.clientY - known.y];
    if (this.job === "swipe") { this.swipe(known, event); return; }
    if (this.job === "pinch") this.pinch(known, event);
    else if (this.job === "bar") this.pane.bar.goTo(event);
    else if (this.job === "window") this.view.windowBy(dx * HU_PER_PIXEL, dy * HU_PER_PIXEL);
    else if (this.job === "pan") this.pane.panBy(dx, dy);
    else this.drag(event);
    Object.assign(known, { x: event.clientX, y: event.clientY });
  }

  drag(event) {
    const voxel = this.pane.voxelAt(event);
    if (voxel && this.job === "brush") this.view.paint(voxel, false);
    else if (voxel && this.job === "point" && this.view.mode === "look") this.view.moveTo(voxel);
  }

  swipe(known, event) {
    if (Math.hypot(event.clientX - known.startX, event.clientY - known.startY) > STILL_PIXELS) {
      known.hasMoved = true;
      clearTimeout(this.holding);
    }
    const n = Math.trunc((event.clientY - known.y) / TOUCH_PIXELS_PER_SLICE);
    if (!known.hasMoved || !n) return;
    known.y += n * TOUCH_PIXELS_PER_SLICE;
    this.pane.stepAcross(-n);
  }

  pinch(known, event) {
    const other = [...this.pointers.values()].find((pointer) => pointer !== known);
    if (!other) return;
    const before = Math.hypot(known.x - other.x, known.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    if (before > 0 && after > 0) this.pane.zoomBy(after / before, { clientX: (event.clientX + other.x) / 2, clientY: (event.clientY + other.y) / 2 });
    this.pane.panBy((event.clientX - known.x) / 2, (event.clientY - known.y) / 2);
  }

  up(event) {
    const known = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    clearTimeout(this.holding);
    if (this.job === "window") this.view.showWindowing(false);
    if (!known || event.type === "pointercancel") this.view.dropStroke();
    else if (this.job === "brush") this.view.endStroke();
    else if (this.job === "swipe" && !known.hasMoved) this.tap(event);
    if (this.pointers.size === 0) this.job = null;
  }

  /** Choose, or point at, what lies under a fingertip; a second tap at once shows the heart or the whole field. */
  tap(event) {
    const { time, x, y } = this.lastTap;
    const isDouble = event.timeStamp - time < DOUBLE_TAP_MS && Math.hypot(event.clientX - x, event.clientY - y) < 2 * FINGERTIP_PIXELS;
    this.lastTap = isDouble ? { time: -Infinity, x: 0, y: 0 } : { time: event.timeStamp, x: event.clientX, y: event.clientY };
    if (isDouble && this.view.mode === "look") { this.view.fit(!this.view.isHeartFitted); return; }
    const voxel = this.pane.meantAt(event, FINGERTIP_PIXELS);
    if (voxel) this.view.pointAt(voxel, this.pane);
  }
}
