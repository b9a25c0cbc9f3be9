// Pixels as the package keeps them: float32 planes [height, width, channels] in [0, 1], in one array.

// ITU-R BT.601, studio range, values in [0, 1]: rows are Y, Cb and Cr for R, G and B.
const YCBCR = [
  [65.481, 128.553, 24.966],
  [-37.797, -74.203, 112.0],
  [112.0, -93.786, -18.214],
].map((row) => row.map((value) => value / 255));
const OFFSET = [16, 128, 128].map((value) => value / 255);
const RGB = inverse(YCBCR);
const VISIBLE = 1 / 512; // of alpha: half a step of 8 bits

/** An image of float planes. */
export class Planes {
  constructor(width, height, channels, values = new Float32Array(width * height * channels)) {
    Object.assign(this, { width, height, channels, values });
  }

  /** Takes the channels `begin` to `end` of RGBA pixels, bytes. */
  static fromRgba(width, height, bytes, begin, end) {
    const planes = new Planes(width, height, end - begin);
    for (let i = 0, j = 0; i < bytes.length; i += 4) {
      for (let c = begin; c < end; c++) planes.values[j++] = bytes[i + c] / 255;
    }
    return planes;
  }

  /** Returns one channel as an image. */
  channel(index) {
    const values = new Float32Array(this.width * this.height);
    for (let i = 0; i < values.length; i++) values[i] = this.values[i * this.channels + index];
    return new Planes(this.width, this.height, 1, values);
  }

  /** Replaces one channel by an image of one. */
  setChannel(index, plane) {
    for (let i = 0; i < plane.values.length; i++) this.values[i * this.channels + index] = plane.values[i];
  }

  /** Whether red, green and blue are the same everywhere. */
  isGray() {
    for (let i = 0; i < this.values.length; i += 3) {
      if (this.values[i] !== this.values[i + 1] || this.values[i] !== this.values[i + 2]) return false;
    }
    return true;
  }
}

/** Enlarges RGB and alpha; colours count by their alpha, or what it hides would colour the edges of what it shows. */
export function enlargeRgba(rgb, alpha, width, height) {
  const larger = enlarge(alpha, width, height);
  const enlarged = enlarge(rgb, width, height);
  if (alpha.values.every((value) => value === 1)) return [enlarged, larger];
  const weighted = enlarge(weightedBy(alpha, rgb), width, height);
  for (let i = 0; i < larger.values.length; i++) {
    if (larger.values[i] <= VISIBLE) continue;
    for (let j = 3 * i; j < 3 * i + 3; j++) enlarged.values[j] = weighted.values[j] / larger.values[i];
  }
  return [enlarged, larger];
}

function weightedBy(alpha, rgb) {
  const weighted = new Planes(rgb.width, rgb.height, 3);
  for (let i = 0; i < rgb.values.length; i++) weighted.values[i] = rgb.values[i] * alpha.values[Math.floor(i / 3)];
  return weighted;
}

/** Returns RGBA bytes of RGB planes and an alpha plane. */
export function toRgba(rgb, alpha) {
  const bytes = new Uint8ClampedArray(4 * alpha.values.length); // rounds, halves to even, and clips
  for (let i = 0; i < alpha.values.length; i++) {
    for (let c = 0; c < 3; c++) bytes[4 * i + c] = 255 * rgb.values[3 * i + c];
    bytes[4 * i + 3] = 255 * alpha.values[i];
  }
  return bytes;
}

export function rgbToYcbcr(rgb) {
  return mapped(rgb, (pixel) => YCBCR.map((row, c) => dot(row, pixel) + OFFSET[c]));
}

export function ycbcrToRgb(ycbcr) {
  return mapped(ycbcr, (pixel) => {
    const centred = pixel.map((value, c) => value - OFFSET[c]);
    return RGB.map((row) => dot(row, centred));
  });
}

/** Enlarges an image by bicubic interpolation as MATLAB's imresize does: Keys' kernel, a mirrored border. */
export function enlarge(image, width, height) {
  return alongRows(alongColumns(image, height), width);
}

function alongColumns(image, height) {
  const { width, channels } = image;
  const result = new Planes(width, height, channels);
  const stride = width * channels;
  taps(image.height, height).forEach((row, y) => {
    for (const [source, weight] of row) {
      for (let i = 0; i < stride; i++) result.values[y * stride + i] += weight * image.values[source * stride + i];
    }
  });
  return result;
}

function alongRows(image, width) {
  const { height, channels } = image;
  const result = new Planes(width, height, channels);
  const columns = taps(image.width, width);
  for (let y = 0; y < height; y++) {
    columns.forEach((column, x) => {
      for (const [source, weight] of column) {
        for (let c = 0; c < channels; c++) {
          result.values[(y * width + x) * channels + c] +=
            weight * image.values[(y * image.width + source) * channels + c];
        }
      }
    });
  }
  return result;
}

/** Returns for each new pixel of a row which old ones make it, [index, weight]. */
function taps(length, longer) {
  return Array.from({ length: longer }, (_, i) => {
    const centre = ((i + 0.5) * length) / longer - 0.5;
    const first = Math.floor(centre) - 1;
    return [0, 1, 2, 3].map((k) => [mirrored(first + k, length), cubic(centre - first - k)]);
  });
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

function mapped(image, change) {
  const result = new Planes(image.width, image.height, 3);
  for (let i = 0; i < image.values.length; i += 3) {
    result.values.set(change([image.values[i], image.values[i + 1], image.values[i + 2]]), i);
  }
  return result;
}

function dot(row, pixel) {
  return row[0] * pixel[0] + row[1] * pixel[1] + row[2] * pixel[2];
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / determinant));
}
