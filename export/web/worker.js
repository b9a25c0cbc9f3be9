// Restores pictures beside the page, so that the page stays awake. One message in,
//   {task, scale, precision, accelerator, width, height, bytes}: RGBA pixels,
// and out {tile, tiles} after each tile, then {width, height, before, after}: RGBA pixels; or {error}, words.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { Network } from "./network.js";
import { enlargeRgba, Planes, rgbToYcbcr, toRgba, ycbcrToRgb } from "./pixels.js";

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

async function restore({ task, scale, precision, accelerator, width, height, bytes }) {
  let rgb = Planes.fromRgba(width, height, bytes, 0, 3);
  let alpha = Planes.fromRgba(width, height, bytes, 3, 4);
  if (task === "super_resolution") {
    [width, height] = [scale * width, scale * height];
    [rgb, alpha] = enlargeRgba(rgb, alpha, width, height);
  }
  const gray = task === "denoise" && rgb.isGray();
  const network = await load(await choose(task, gray ? ["gray"] : ["rgb", "luminance", "gray"], precision), accelerator);
  const restored = await restorePixels(network, rgb);
  return { width, height, before: toRgba(rgb, alpha), after: toRgba(restored, alpha) };
}

/** Restores RGB planes with a network of any colours. */
async function restorePixels(network, rgb) {
  const { channels, color, task } = network.metadata;
  const luminanceOnly = color === "luminance" && task !== "deblock"; // JPEG spoils colours as well
  const planes = channels === 3 || luminanceOnly || rgb.isGray() ? 1 : 3;
  const tiles = planes * network.tiles(rgb.width, rgb.height);
  let tile = 0;
  const progress = () => postMessage({ tile: ++tile, tiles });
  if (channels === 3) return network.restore(rgb, progress);
  const restored = color === "luminance" ? rgbToYcbcr(rgb) : new Planes(rgb.width, rgb.height, 3, rgb.values.slice());
  for (let c = 0; c < planes; c++) restored.setChannel(c, await network.restore(restored.channel(c), progress));
  if (color === "luminance") return ycbcrToRgb(restored);
  if (planes === 1) [1, 2].forEach((c) => restored.setChannel(c, restored.channel(0)));
  return restored;
}

/** Returns what models.json says of the network for a task, of the first of these colours that there is. */
async function choose(task, colors, precision) {
  const models = await (await fetched("models/models.json")).json();
  const fitting = models.filter((model) => model.task === task && model.precision === precision);
  for (const color of colors) {
    const found = fitting.find((model) => model.color === color);
    if (found) return found;
  }
  throw new Error(`There is no ${precision} network for ${task} here.`);
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
