// Pictures as RGBA bytes that are read window by window: floats of a whole photo would take gigabytes.

// ITU-R BT.601, studio range, values in [0, 1]: rows are Y, Cb and Cr for R, G and B.
const YCBCR = [
  [65.481, 128.553, 24.966],
  [-37.797, -74.203, 112.0],
  [112.0, -93.786, -18.214],
].map((row) => row.map((value) => value / 255));
const OFFSET = [16, 128, 128].map((value) => value / 255);
const RGB = inverse(YCBCR);
const VISIBLE = 1 / 512; // of alpha: half a step of 8 bits
const TAPS = 4; // old pixels of a row that make a new one

/** A picture, from RGBA bytes. */
export class Picture {
  constructor(width, height, bytes) {
    Object.assign(this, { width, height, bytes });
  }

  /** Whether red, green and blue are the same everywhere, or but 1 apart before a canvas multiplied them by alpha. */
  isGray() {
    const bytes = this.bytes;
    for (let i = 0; i < bytes.length; i += 4) {
      const [red, green, blue] = [bytes[i], bytes[i + 1], bytes[i + 2]];
      const apart = Math.max(red, green, blue) - Math.min(red, green, blue);
      if (apart * bytes[i + 3] >= 255 + bytes[i + 3]) return false; // of what is opaque 2 are, of what is faint more
    }
    return true;
  }

  /** Gives what alpha hides the colours that restoration.py does, for the network to see no edge there. */
  fillHidden() {
    const shown = Uint8Array.from({ length: this.bytes.length / 4 }, (_, i) => this.bytes[4 * i + 3] > 0);
    if (shown.includes(0) && shown.includes(1)) fill(this.width, this.height, this.bytes, shown);
  }

  /** Puts a pixel at `values[i]` and behind it, RGBA floats in [0, 1]. */
  read(row, column, values, i) {
    const from = 4 * (row * this.width + column);
    for (let c = 0; c < 4; c++) values[i + c] = this.bytes[from + c] / 255;
  }
}

/** A picture enlarged by bicubic interpolation as MATLAB's imresize does: Keys' kernel, a mirrored border. */
export class Enlarged {
  constructor(picture, scale) {
    const [width, height] = [scale * picture.width, scale * picture.height];
    const [columns, rows] = [taps(picture.width, width), taps(picture.height, height)];
    let [darkest, lightest] = [255, 0];
    for (const [i, value] of picture.bytes.entries()) {
      if (i % 4 < 3 && value < darkest) darkest = value;
      if (i % 4 < 3 && value > lightest) lightest = value;
    }
    const bounded = (value) => Math.min(Math.max(value, darkest / 255), lightest / 255);
    Object.assign(this, { picture, width, height, columns, rows, bounded });
  }

  /** Puts a pixel as a picture does; values may lie somewhat beyond [0, 1]. */
  read(row, column, values, i) {
    const { bytes, width } = this.picture;
    // Colours count by their alpha, or what it hides would colour the edges of what it shows.
    let [red, green, blue, alpha, plainRed, plainGreen, plainBlue] = [0, 0, 0, 0, 0, 0, 0];
    for (let y = TAPS * row; y < TAPS * (row + 1); y++) {
      for (let x = TAPS * column; x < TAPS * (column + 1); x++) {
        const from = 4 * (this.rows.sources[y] * width + this.columns.sources[x]);
        const weight = this.rows.weights[y] * this.columns.weights[x];
        const shown = (weight * bytes[from + 3]) / 255;
        alpha += shown;
        red += shown * bytes[from];
        green += shown * bytes[from + 1];
        blue += shown * bytes[from + 2];
        plainRed += weight * bytes[from];
        plainGreen += weight * bytes[from + 1];
        plainBlue += weight * bytes[from + 2];
      }
    }
    const visible = alpha > VISIBLE;
    const total = 255 * (visible ? alpha : 1);
    values[i] = (visible ? red : plainRed) / total;
    values[i + 1] = (visible ? green : plainGreen) / total;
    values[i + 2] = (visible ? blue : plainBlue) / total;
    values[i + 3] = alpha;
    if (visible && alpha <= 1 - VISIBLE) {
      for (let c = 0; c < 3; c++) values[i + c] = this.bounded(values[i + c]); // little alpha makes large lobes
    }
  }
}

/** Returns a window of a picture as RGBA floats; beyond its bottom and right border lies its reflection. */
export function cut(picture, top, left, height, width) {
  const values = new Float32Array(4 * height * width);
  const columns = reflected(left, width, picture.width);
  let i = 0;
  for (const row of reflected(top, height, picture.height)) {
    for (const column of columns) {
      picture.read(row, column, values, i);
      i += 4;
    }
  }
  return values;
}

/** Fills RGBA values where `shown` is 0 with the means of squares of 2x2 pixels, of these where there are none. */
function fill(width, height, values, shown) {
  if (!shown.includes(0)) return;
  const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const counts = new Uint8Array(halfWidth * halfHeight);
  const means = new Float32Array(4 * counts.length);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const square = (y >> 1) * halfWidth + (x >> 1);
      if (!shown[i]) continue;
      counts[square]++;
      for (let c = 0; c < 3; c++) means[4 * square + c] += values[4 * i + c];
    }
  }
  for (const [square, count] of counts.entries()) for (let c = 0; c < 3; c++) means[4 * square + c] /= count || 1;
  fill(halfWidth, halfHeight, means, counts);
  const beside = (place, side) => Math.min(Math.max((place >> 1) + (place % 2 ? 1 : -1), 0), side - 1);
  for (let y = 0, i = 0; y < height; y++) {
    const rows = [halfWidth * (y >> 1), halfWidth * beside(y, halfHeight)];
    for (let x = 0; x < width; x++, i++) {
      if (shown[i]) continue;
      const columns = [x >> 1, beside(x, halfWidth)];
      for (let c = 0; c < 3; c++) {
        const mean = (row, column) => means[4 * (rows[row] + columns[column]) + c];
        values[4 * i + c] = (9 * mean(0, 0) + 3 * mean(0, 1) + 3 * mean(1, 0) + mean(1, 1)) / 16; // linear
      }
    }
  }
}

/** Takes some channels of RGBA floats, side by side. */
export function take(values, channels) {
  const taken = new Float32Array((values.length / 4) * channels.length);
  for (let i = 0, j = 0; i < values.length; i += 4) for (const c of channels) taken[j++] = values[i + c];
  return taken;
}

/** Puts channels back where `take` had them from. */
export function put(values, channels, taken) {
  for (let i = 0, j = 0; i < values.length; i += 4) for (const c of channels) values[i + c] = taken[j++];
}

/** Makes the channels of RGB floats their mean, in place, and returns them. */
export function grayed(values) {
  for (let i = 0; i < values.length; i += 3) values.fill((values[i] + values[i + 1] + values[i + 2]) / 3, i, i + 3);
  return values;
}

/** Turns the colours of RGBA floats into luminance and chroma, in place. */
export function rgbToYcbcr(values) {
  for (let i = 0; i < values.length; i += 4) {
    const [red, green, blue] = [values[i], values[i + 1], values[i + 2]];
    for (let c = 0; c < 3; c++) {
      values[i + c] = YCBCR[c][0] * red + YCBCR[c][1] * green + YCBCR[c][2] * blue + OFFSET[c];
    }
  }
}

export function ycbcrToRgb(values) {
  for (let i = 0; i < values.length; i += 4) {
    const [y, cb, cr] = [values[i] - OFFSET[0], values[i + 1] - OFFSET[1], values[i + 2] - OFFSET[2]];
    for (let c = 0; c < 3; c++) values[i + c] = RGB[c][0] * y + RGB[c][1] * cb + RGB[c][2] * cr;
  }
}

/** Returns which rows or columns of a picture a window shows that may reach beyond it: reflected again and again. */
function reflected(start, length, side) {
  const period = Math.max(1, 2 * (side - 1));
  return Int32Array.from({ length }, (_, i) => Math.min((start + i) % period, period - ((start + i) % period)));
}

/** Returns for each new pixel of a row which old ones make it, and by how much: TAPS entries of two arrays. */
function taps(length, longer) {
  const sources = new Int32Array(TAPS * longer);
  const weights = new Float64Array(TAPS * longer);
  for (let i = 0; i < longer; i++) {
    const centre = ((i + 0.5) * length) / longer - 0.5;
    const first = Math.floor(centre) - 1;
    for (let k = 0; k < TAPS; k++) {
      sources[TAPS * i + k] = mirrored(first + k, length);
      weights[TAPS * i + k] = cubic(centre - first - k);
    }
  }
  return { sources, weights };
}

function mirrored(index, length) {
  const period = 2 * length;
  const within = ((index % period) + period) % period;
  return within < length ? within : period - 1 - within;
}

function cubic(distance) {
  const x = Math.abs(distance);
  if (x <= 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
  return x <= 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0;
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / determinant));
}
