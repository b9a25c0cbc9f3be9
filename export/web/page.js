// The page: takes a photo, has the worker restore it, shows both.

const $ = (id) => document.getElementById(id);
const PIXELS = 2 ** 26; // of a result: page and worker take 20 to 30 bytes for each, and canvases hold little more
const FINE_STEPS = 11; // in which a JPEG of quality 91 stores luminance, in the mean
let photo = null; // {name, width, height, bytes, blocky}
let latest = 0; // how many files were taken
let worker = null;
let busy = false;

fetch("models/models.json")
  .then((answer) => answer.json())
  .then((models) => {
    for (const option of $("task").options) option.disabled = !models.some((model) => model.task === option.value);
    for (const option of $("precision").options) {
      option.disabled = !models.some((model) => model.precision === option.value);
    }
    for (const id of ["task", "precision"]) {
      const usable = [...$(id).options].find((option) => !option.disabled);
      if ($(id).selectedOptions[0].disabled && usable) $(id).value = usable.value;
    }
    $("scale").parentElement.hidden = $("task").value !== "super_resolution";
  })
  .catch(() => say("The list of networks, models/models.json, could not be read. Is the page served over http?"));

if (navigator.gpu) $("accelerator").parentElement.hidden = false;
$("file").addEventListener("click", () => ($("file").value = "")); // the same file may be chosen again
$("file").addEventListener("change", () => take($("file").files[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
for (const id of ["task", "scale", "precision", "accelerator"]) {
  $(id).addEventListener("change", () => {
    $("scale").parentElement.hidden = $("task").value !== "super_resolution";
    restore();
  });
}
$("slider").addEventListener("input", () => $("pictures").style.setProperty("--share", `${$("slider").value}%`));
$("stop").addEventListener("click", () => {
  idle();
  say("Stopped.");
});
$("save").addEventListener("click", async () => {
  const download = `${photo.name.replace(/\.[^.]*$/, "")}-restored.png`; // another may be taken meanwhile
  const blob = await new Promise((resolve) => $("after").toBlob(resolve, "image/png"));
  if (!blob) {
    say("The picture is too large for this browser to save.");
    return;
  }
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

async function take(file) {
  if (!file) return;
  const turn = ++latest;
  idle();
  say(`Reading ${file.name} ...`);
  let read;
  try {
    read = await pixels(file);
  } catch {
    if (turn === latest) say(`${file.name} is no picture that this browser can read, or is too large for it.`);
    return;
  }
  if (turn !== latest) return; // another was taken meanwhile
  photo = { name: file.name, ...read };
  restore();
}

async function pixels(file) {
  const bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { width, height, data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  bitmap.close();
  return { width, height, bytes: data, blocky: await isBlocky(file) };
}

/** Whether a photo shows blocks when it is enlarged: from a WebP file, or from a JPEG of quality 90 or less. */
async function isBlocky(file) {
  if (file.type !== "image/jpeg") return file.type === "image/webp";
  const head = new Uint8Array(await file.slice(0, 2 ** 20).arrayBuffer());
  for (let at = 2; head[at] === 0xff; at += 2 + 256 * head[at + 2] + head[at + 3]) {
    const steps = head.subarray(at + 5, at + 69);
    if (head[at + 1] === 0xdb && head[at + 4] === 0) return steps.reduce((a, b) => a + b) / 64 > FINE_STEPS;
  }
  return true;
}

function restore() {
  if (!photo) return;
  idle();
  $("pictures").hidden = $("save").hidden = true;
  const task = $("task").value;
  const scale = task === "super_resolution" ? Number($("scale").value) : 1;
  if (scale ** 2 * photo.width * photo.height > PIXELS) {
    say(`${scale * photo.width} x ${scale * photo.height} pixels are more than a browser has memory for.`);
    return;
  }
  try {
    worker ??= start();
  } catch {
    say("The worker could not be started. Is the page served over http?"); // from a disk, it may not be
    return;
  }
  busy = true;
  $("progress").hidden = $("stop").hidden = false;
  $("progress").removeAttribute("value");
  say(`Restoring ${photo.name} ...`);
  const { width, height, bytes, blocky } = photo;
  const [precision, accelerator] = [$("precision").value, $("accelerator").value];
  try {
    worker.postMessage({ task, scale, precision, accelerator, width, height, bytes, blocky });
  } catch {
    fail("the browser is out of memory.");
  }
}

function start() {
  const started = new Worker("worker.js");
  started.onerror = (event) => fail(event.message || "The worker could not be started.");
  started.onmessageerror = () => fail("the browser is out of memory.");
  started.onmessage = ({ data }) => {
    if (data.error) fail(data.error);
    else if (data.tiles) Object.assign($("progress"), { max: data.tiles, value: data.tile });
    else show(data);
  };
  return started;
}

function show({ width, height, before, after }) {
  busy = false;
  idle();
  try {
    for (const [id, bytes] of [["before", before], ["after", after]]) {
      Object.assign($(id), { width, height });
      $(id).getContext("2d").putImageData(new ImageData(bytes, width, height), 0, 0);
    }
  } catch {
    fail(`${width} x ${height} pixels are more than this browser can show.`);
    return;
  }
  $("pictures").hidden = $("save").hidden = false;
  say(`${photo.name}: ${width} x ${height} pixels. Left of the line as it was, right of it restored.`);
}

function fail(words) {
  idle();
  say(`Not restored: ${words}`);
}

/** Hides the progress; a worker that is at work ends, one that is done keeps its network for the next photo. */
function idle() {
  if (busy) {
    worker.terminate();
    worker = null;
    busy = false;
  }
  $("progress").hidden = $("stop").hidden = true;
}

function say(words) {
  $("message").textContent = words;
}
