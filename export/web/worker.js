// Restores pictures beside the page, so that the page stays awake. One message in,
//   {task, scale, precision, accelerator, width, height, bytes, blocky}: RGBA pixels,
// and out {tile, tiles} after each tile, then {width, height, before, after}: RGBA pixels; or {error}, words.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { Network } from "./network.js";
import { cut, Enlarged, Picture } from "./pixels.js";

const compiled = { key: null, model: null, network: null }; // the latest, by file and accelerator; each takes much memory
let runtime;

onmessage = async ({ data: request }) => {
  try {
    const answer = await restore(request);
    postMessage(answer, [answer.before.buffer, answer.after.buffer]);
  } catch (error) {
    postMessage({ error: error.message ?? String(error) });
  }
};

async function restore({ task, scale, precision, accelerator, width, height, bytes, blocky }) {
  const photo = new Picture(width, height, bytes);
  const gray = photo.isGray();
  photo.fillHidden();
  const plain = task === "super_resolution" ? !blocky : gray; // to enlarge, that for colour knows blocks
  const colors = plain ? ["gray", "luminance", "rgb"] : ["rgb", "luminance", "gray"];
  if (task === "denoise") colors.length = 1; // others do not know its noise
  const network = await load(await choose(task, colors, precision), accelerator);
  const larger = task === "super_resolution";
  const picture = larger ? new Enlarged(photo, scale) : photo;
  const after = new Uint8ClampedArray(4 * picture.width * picture.height); // rounds, halves to even, and clips
  const before = larger ? new Uint8ClampedArray(after.length) : bytes;
  const tiles = network.tiles(picture.width, picture.height);
  for (const [i, tile] of tiles.entries()) {
    const values = cut(picture, tile.row.start, tile.column.start, ...network.metadata.size);
    if (larger) network.keep(tile, values, before, picture.width);
    await network.restore(values, gray);
    network.keep(tile, values, after, picture.width);
    postMessage({ tile: i + 1, tiles: tiles.length });
  }
  return { width: picture.width, height: picture.height, before, after };
}

/** Returns what models.json says of the network for a task, of the first of these colours that there is. */
async function choose(task, colors, precision) {
  const models = await (await fetched("models/models.json")).json();
  const fitting = models.filter((model) => model.task === task && model.precision === precision);
  for (const color of colors) {
    const found = fitting.find((model) => model.color === color);
    if (found) return found;
  }
  throw new Error("for such photos there is no network of this quality here. Choose the other quality.");
}

async function load(metadata, accelerator) {
  const key = `${metadata.file} ${accelerator}`;
  if (compiled.key !== key) {
    self.Module ??= { locateFile: (name) => `litert/${name}` }; // it would look beside the worker
    runtime ??= loadLiteRt("litert/");
    await runtime;
    const content = new Uint8Array(await (await fetched(`models/${metadata.file}`)).arrayBuffer());
    compiled.model?.delete();
    compiled.key = compiled.model = null;
    const model = await loadAndCompile(content, { accelerator });
    const shape = [1, ...metadata.size, metadata.channels];
    const run = async (window) => {
      const input = new Tensor(window, shape);
      const [output] = await model.run(input);
      const onProcessor = accelerator === "wasm" ? output : await output.moveTo("wasm");
      const restored = onProcessor.toTypedArray().slice();
      input.delete();
      onProcessor.delete();
      if (restored.some(Number.isNaN)) throw new Error("half precision overflowed in a tile: compute on the processor.");
      return restored;
    };
    Object.assign(compiled, { key, model, network: new Network(metadata, run) });
  }
  return compiled.network;
}

async function fetched(file) {
  const answer = await fetch(file);
  if (!answer.ok) throw new Error(`${file} could not be read: ${answer.status} ${answer.statusText}`);
  return answer;
}
