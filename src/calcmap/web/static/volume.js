// The CT in the browser, slice by slice as it arrives, and the planes through it.

import { getBytes } from "./server.js";

const AT_ONCE = 5; // requests under way: browsers allow six to one host, and edits need one
const BLACK = 0xff000000;

export class Volume {
  constructor(studyId, scan) {
    this.studyId = studyId;
    [this.nz, this.ny, this.nx] = scan.shape;
    [this.dz, this.dy, this.dx] = scan.spacing_mm;
    this.hu = new Int16Array(this.nz * this.ny * this.nx); // touched slice by slice: what has not arrived costs no memory
    this.isAsked = new Uint8Array(this.nz);
    this.isHere = new Uint8Array(this.nz);
    this.nHere = 0;
    this.wanted = 0;
    this.held = null;
    this.stopper = new AbortController();
  }

  /** Fetch every slice, those nearest to `wanted` first; `onSlice(z)` is told of each. One by one until `opened`. */
  async load(first, opened, onSlice) {
    this.wanted = first;
    await this.fetchNext(onSlice); // nothing competes with what is looked at first
    const more = opened.then(() => Promise.all(Array.from({ length: AT_ONCE - 1 }, () => this.fetchRest(onSlice))));
    await Promise.all([this.fetchRest(onSlice), more]);
  }

  /** End every request and let go of the voxels: whoever opens one study after the other holds one. */
  stop() {
    this.stopper.abort();
    this.hu = new Int16Array(0);
    this.isHere.fill(0);
  }

  /** Ask for no further slice until a promise has ended: somebody waits for an answer. */
  holdUntil(promise) { this.held = promise; }

  index(z, y, x) { return (z * this.ny + y) * this.nx + x; }

  async fetchRest(onSlice) { while (await this.fetchNext(onSlice)); }

  async fetchNext(onSlice) {
    await this.held;
    const z = this.nearestUnasked();
    if (z < 0) return false;
    this.isAsked[z] = 1;
    const bytes = await getBytes(`/api/studies/${this.studyId}/ct/${z}`, this.stopper.signal);
    if (this.stopper.signal.aborted) return false;
    this.hu.set(new Int16Array(bytes), this.index(z, 0, 0));
    this.isHere[z] = 1;
    this.nHere += 1;
    onSlice(z);
    return true;
  }

  nearestUnasked() {
    for (let step = 0; step < this.nz; step += 1) {
      for (const z of [this.wanted + step, this.wanted - step]) {
        if (z >= 0 && z < this.nz && !this.isAsked[z]) return z;
      }
    }
    return -1;
  }
}

/** How each plane lies in the volume. Heads are up, the patient's left is to the right of the screen. */
export const PLANES = {
  axial: {
    across: "z", letters: ["R", "L", "A", "P"],
    size: (v) => [v.nx, v.ny], mm: (v) => [v.dx, v.dy],
    voxel: (v, at, u, w) => ({ z: at.z, y: w, x: u }), place: (v, at) => [at.x, at.y],
    start: (v, at) => [v.index(at.z, 0, 0), 1, v.nx],
  },
  coronal: {
    across: "y", letters: ["R", "L", "H", "F"],
    size: (v) => [v.nx, v.nz], mm: (v) => [v.dx, v.dz],
    voxel: (v, at, u, w) => ({ z: v.nz - 1 - w, y: at.y, x: u }), place: (v, at) => [at.x, v.nz - 1 - at.z],
    start: (v, at) => [v.index(v.nz - 1, at.y, 0), 1, -v.nx * v.ny],
  },
  sagittal: {
    across: "x", letters: ["A", "P", "H", "F"],
    size: (v) => [v.ny, v.nz], mm: (v) => [v.dy, v.dz],
    voxel: (v, at, u, w) => ({ z: v.nz - 1 - w, y: u, x: at.x }), place: (v, at) => [at.y, v.nz - 1 - at.z],
    start: (v, at) => [v.index(v.nz - 1, 0, at.x), v.nx, -v.nx * v.ny],
  },
};

/** Return the grey of every HU under a window, one 32-bit pixel each, to be looked up by `hu & 0xffff`. */
export function greys(width, level) {
  const table = new Uint32Array(65536);
  const low = level - width / 2;
  for (let hu = -32768; hu < 32768; hu += 1) {
    const grey = Math.max(0, Math.min(255, Math.round(((hu - low) / width) * 255)));
    table[hu & 0xffff] = (0xff000000 | (grey << 16) | (grey << 8) | grey) >>> 0;
  }
  return table;
}

/** Fill 32-bit pixels with a plane through `at`: exactly one pixel a voxel, black where no slice is yet. */
export function fillPlane(pixels, volume, plane, at, table) {
  const [nu, nw] = plane.size(volume);
  const [start, stepU, stepW] = plane.start(volume, at);
  const { hu } = volume;
  let pixel = 0;
  for (let w = 0; w < nw; w += 1) {
    if (!volume.isHere[plane.across === "z" ? at.z : volume.nz - 1 - w]) {
      pixels.fill(BLACK, pixel, pixel + nu);
      pixel += nu;
      continue;
    }
    let voxel = start + w * stepW;
    for (let u = 0; u < nu; u += 1) {
      pixels[pixel] = table[hu[voxel] & 0xffff];
      pixel += 1;
      voxel += stepU;
    }
  }
}
