// Restores pictures beside the page, so that the page stays awake. One message in,
//   {task, scale, precision, accelerator, width, height, bytes}: RGBA pixels,
// and out {tile, tiles} after each tile, then {width, height, before, after}: RGBA pixels; or {error}, words.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { Network } from "./network.js";
import { enlargeRgba, Planes, rgbToYcbcr, toRgba, ycbcrToRgb } from "./pixels.js";

const networks = new Map(); // compiled, by file and accelerator
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
  const image = color === "luminance" ? rgbToYcbcr(rgb) : rgb;
  const restored = new Planes(rgb.width, rgb.height, 3, image.values.slice());
  for (let c = 0; c < planes; c++) restored.setChannel(c, await network.restore(image.channel(c), progress));
  if (color === "luminance") return ycbcrToRgb(restored);
  if (planes === 1) [1, 2].forEach((c) => restored.setChannel(c, restored.channel(0)));
  return restored;
}

/** Returns what models.json says of the network for a task, of the first of these colours that there is. */
async function choose(task, colors, precision) {
  const answer = await fetch("models/models.json");
  if (!answer.ok) throw new Error(`models/models.json could not be read: ${answer.status} ${answer.statusText}`);
  const fitting = (await answer.json()).filter((model) => model.task === task && model.precision === precision);
  for (const color of colors) {
    const found = fitting.find((model) => model.color === color);
    if (found) return found;
  }
  throw new Error(`There is no ${precision} network for ${task} here.`);
}

async function load(metadata, accelerator) {
  const key = `${metadata.file} ${accelerator}`;
  if (!networks.has(key)) {
    self.Module ??= { locateFile: (name) => `litert/${name}` }; // it would look beside the worker
    runtime ??= loadLiteRt("litert/");
    await runtime;
    const model = await loadAndCompile(`models/${metadata.file}`, { accelerator });
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
    networks.set(key, new Network(metadata, run));
  }
  return networks.get(key);
}
