// Calcium and heart as the server packed them, and their colours.

export const MARKS = { pending: 0, accepted: 1, rejected: 2 };
const CORONARY = 2;
export const SITE_COLOURS = {
  LM: [255, 105, 180], LAD: [255, 80, 70], LCx: [255, 170, 40], RCA: [250, 225, 60],
  aorta: [70, 200, 110], valve: [60, 200, 200], annulus: [90, 150, 255], other: [170, 140, 255],
};
const CLASS_COLOURS = { coronary: [255, 70, 60], noncoronary: [70, 205, 110] };
const REJECTED_COLOUR = [150, 155, 165];

/** Return the colour of a lesion or voxel, as red, green, blue. */
export function colourOf({ isCoronary, site, isRejected }, palette) {
  if (isRejected) return REJECTED_COLOUR;
  if (palette === "vessel" && site) return SITE_COLOURS[site];
  return isCoronary ? CLASS_COLOURS.coronary : CLASS_COLOURS.noncoronary;
}

export const css = ([red, green, blue], alpha = 1) => `rgb(${red} ${green} ${blue} / ${alpha})`;

/** Every voxel of calcium at one step of a review, in ascending order of its place. */
export class Calcium {
  constructor(base64, sites) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const n = bytes.length / 9;
    this.n = n;
    this.sites = sites;
    this.index = new Uint32Array(bytes.buffer, 0, n);
    this.lesion = new Uint16Array(bytes.buffer, 4 * n, n);
    this.label = new Uint8Array(bytes.buffer, 6 * n, n);
    this.site = new Uint8Array(bytes.buffer, 7 * n, n);
    this.mark = new Uint8Array(bytes.buffer, 8 * n, n);
  }

  /** Return where the first voxel at or behind a place stands in the list. */
  from(place) {
    let low = 0;
    let high = this.n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.index[middle] < place) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** Return the number of the lesion at a place, 0 for none. */
  lesionAt(place) {
    const i = this.from(place);
    return i < this.n && this.index[i] === place ? this.lesion[i] : 0;
  }

  looks(i) {
    return {
      isCoronary: this.label[i] === CORONARY,
      site: this.site[i] ? this.sites[this.site[i] - 1] : null,
      isRejected: this.mark[i] === MARKS.rejected,
    };
  }

  /** Call `visit(i, u, w)` for every voxel in a plane through `at`. */
  inPlane(volume, name, at, visit) {
    const area = volume.ny * volume.nx;
    const isAxial = name === "axial";
    const last = isAxial ? this.from((at.z + 1) * area) : this.n;
    for (let i = isAxial ? this.from(at.z * area) : 0; i < last; i += 1) {
      const place = this.index[i];
      const z = Math.floor(place / area);
      const y = Math.floor((place - z * area) / volume.nx);
      const x = place % volume.nx;
      if (isAxial) visit(i, x, y);
      else if (name === "coronal" && y === at.y) visit(i, x, volume.nz - 1 - z);
      else if (name === "sagittal" && x === at.x) visit(i, y, volume.nz - 1 - z);
    }
  }
}

/** The heart, one bit a voxel; its outlines are kept once they were drawn. */
export class Heart {
  constructor(bytes) {
    this.bits = new Uint8Array(bytes);
    this.paths = new Map();
  }

  has(place) { return (this.bits[place >> 3] >> (place & 7)) & 1; }

  /** Return the outline in a plane, in its pixels. */
  outline(volume, name, plane, at) {
    const key = `${name}${at[plane.across]}`;
    if (!this.paths.has(key)) {
      const [nu, nw] = plane.size(volume);
      const [start, stepU, stepW] = plane.start(volume, at);
      const isIn = (u, w) => u >= 0 && w >= 0 && u < nu && w < nw && this.has(start + u * stepU + w * stepW) === 1;
      this.paths.set(key, edges(nu, nw, isIn));
    }
    return this.paths.get(key);
  }
}

/** Return the border between pixels that are in and pixels that are not, as a path. */
export function edges(nu, nw, isIn, firstU = 0, firstW = 0) {
  const path = new Path2D();
  for (let w = firstW; w < nw; w += 1) {
    for (let u = firstU; u < nu; u += 1) {
      if (!isIn(u, w)) continue;
      if (!isIn(u - 1, w)) { path.moveTo(u, w); path.lineTo(u, w + 1); }
      if (!isIn(u + 1, w)) { path.moveTo(u + 1, w); path.lineTo(u + 1, w + 1); }
      if (!isIn(u, w - 1)) { path.moveTo(u, w); path.lineTo(u + 1, w); }
      if (!isIn(u, w + 1)) { path.moveTo(u, w + 1); path.lineTo(u + 1, w + 1); }
    }
  }
  return path;
}
