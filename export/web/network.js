// Restores pictures of any size with a TFLite file of fixed size: the twin of ../litert/restore.py.
//
// Tiles overlap by the network's reach, so the result is that of the whole picture. (A smaller picture is reflected to
// fill the file's size, which shows at its border, a little.)

import { grayed, put, rgbToYcbcr, take, ycbcrToRgb } from "./pixels.js";

export class Network {
  /**
   * @param metadata what the JSON beside the file says
   * @param run      a function that restores a Float32Array, [height, width, channels] of the file, and returns another
   */
  constructor(metadata, run) {
    Object.assign(this, { metadata, run });
  }

  /** Cuts a picture: where the windows of the file's size start, and which rows and columns are kept of each. */
  tiles(width, height) {
    const columns = this.#spans(width, 1);
    return this.#spans(height, 0).flatMap((row) => columns.map((column) => ({ row, column })));
  }

  /** Restores the colours of a window, RGBA floats, in place; `gray` tells whether the whole picture is gray. */
  async restore(values, gray) {
    const { channels, color, task } = this.metadata;
    if (channels === 3) {
      const restored = await this.run(take(values, [0, 1, 2]));
      put(values, [0, 1, 2], gray ? grayed(restored) : restored);
      return;
    }
    const luminance = color === "luminance";
    if (luminance) rgbToYcbcr(values);
    const all = !gray && (!luminance || task === "deblock"); // JPEG spoils colours as well
    for (const c of all ? [0, 1, 2] : [0]) put(values, [c], await this.run(take(values, [c])));
    if (luminance) ycbcrToRgb(values);
    if (gray) for (const c of [1, 2]) put(values, [c], take(values, [0]));
  }

  /** Writes the part of a window that is kept of a tile, RGBA floats, into the bytes of a picture of some width. */
  keep({ row, column }, values, bytes, width) {
    const windowWidth = this.metadata.size[1];
    for (let y = row.begin; y < row.end; y++) {
      const from = 4 * ((y - row.start) * windowWidth + column.begin - column.start);
      const to = 4 * (y * width + column.begin);
      for (let i = 0; i < 4 * (column.end - column.begin); i++) bytes[to + i] = 255 * values[from + i];
    }
  }

  /** Cuts an axis: where a window starts, and which part of the picture, `begin` to `end`, is kept of it. */
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
