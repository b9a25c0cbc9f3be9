// Restores an image of any size with a TFLite file of fixed size: the twin of ../litert/restore.py.
//
// Tiles overlap by the network's reach, so the result is that of the whole image. (A smaller image is reflected to fill
// the file's size, which shows at its border, a little.)

import { Planes } from "./pixels.js";

export class Network {
  /**
   * @param metadata what the JSON beside the file says
   * @param run      a function that restores a Float32Array, [height, width, channels] of the file, and returns another
   */
  constructor(metadata, run) {
    Object.assign(this, { metadata, run });
  }

  /** How many tiles an image of this size takes, and so how often `progress` is called for it. */
  tiles(width, height) {
    return this.#spans(height, 0).length * this.#spans(width, 1).length;
  }

  /** Restores Planes of as many channels as the network has; calls `progress()` after each tile. */
  async restore(image, progress) {
    const { channels, size } = this.metadata;
    const rows = this.#spans(image.height, 0);
    const columns = this.#spans(image.width, 1);
    const restored = new Planes(image.width, image.height, channels);
    for (const row of rows) {
      for (const column of columns) {
        const output = await this.run(cut(image, row.start, column.start, ...size));
        for (let y = row.begin; y < row.end; y++) {
          const from = ((y - row.start) * size[1] + column.begin - column.start) * channels;
          const count = (column.end - column.begin) * channels;
          restored.values.set(output.subarray(from, from + count), (y * image.width + column.begin) * channels);
        }
        progress();
      }
    }
    return restored;
  }

  /** Cuts an axis: where a window starts, and which part of the image, `begin` to `end`, is kept of it. */
  #spans(side, axis) {
    const { size_multiple: multiple, halo, size } = this.metadata;
    const window = size[axis];
    const padded = Math.ceil(side / multiple) * multiple;
    if (window >= padded) return [{ start: 0, begin: 0, end: side }];
    if (window <= 2 * halo) throw new Error(`A file of this network needs more than ${2 * halo} pixels a side.`);
    const count = Math.ceil((padded - 2 * halo) / (window - 2 * halo));
    const starts = Array.from(
      { length: count },
      (_, i) => Math.round((i * (padded - window)) / (count - 1) / multiple) * multiple,
    );
    return starts.map((start, i) => ({
      start,
      begin: i === 0 ? 0 : start + halo,
      end: i === count - 1 ? side : starts[i + 1] + halo,
    }));
  }
}

/** Copies a window out of an image that is reflected at its bottom and right border, again and again. */
function cut(image, top, left, height, width) {
  const { channels, values } = image;
  const window = new Float32Array(height * width * channels);
  const columns = Array.from({ length: width }, (_, x) => reflected(left + x, image.width) * channels);
  for (let y = 0, i = 0; y < height; y++) {
    const row = reflected(top + y, image.height) * image.width * channels;
    for (const column of columns) for (let c = 0; c < channels; c++) window[i++] = values[row + column + c];
  }
  return window;
}

function reflected(index, side) {
  if (side === 1) return 0;
  const period = 2 * (side - 1);
  const within = index % period;
  return Math.min(within, period - within);
}
