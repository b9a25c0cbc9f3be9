"""Scores the shipped weights by the literature's protocols: `python -m recipes.evaluate --all --data DATASETS`.

DATASETS is the folder of test images that recipes/experiments.py describes. A row per image goes to
recipes/results/TASK.csv, for the corrupted input and for every shipped network; rows that are there already are kept
while the network is the same. Then the README's tables are written anew, and the summary beside the paper is printed.
"""

import argparse
import dataclasses
import functools
import importlib
from pathlib import Path

import numpy as np

from keras_rednet import dataset, weights
from keras_rednet.evaluation import Protocol, evaluate
from keras_rednet.metrics import SSIM_WINDOW
from keras_rednet.model import BUILDERS, TASK_CHANNELS
from keras_rednet.photos import COLORS, DIRECTED, taken_level
from keras_rednet.restoration import restore
from keras_rednet.weights import written_whole
from recipes import contact, csv_table, tables
from recipes.experiments import EXPERIMENTS, FOLDERS, image_paths, images

TASKS = tuple(dict.fromkeys(experiment.task for experiment in EXPERIMENTS))
PROTOCOL = tuple(field.name for field in dataclasses.fields(Protocol))
RUN = ("weights", "sha256", "images", "level", *PROTOCOL, "corruption")
COLUMNS = (*RUN, "image", "psnr", "ssim")
INPUT = "input"
SHOWN = 4  # images of a set on a contact sheet


def score(tasks, data, orientations=1, save=None, only=None, sets=None):
    """Scores the corrupted inputs and all shipped networks of `tasks` where rows are missing or out of date.

    Args:
        tasks: names of tasks.
        data: folder of test images.
        orientations: 1 or 8.
        save: folder for restored images and contact sheets, or None; then rows that are there are scored again.
        only: names of shipped networks, or None for all.
        sets: names of image sets, or None for all.
    """
    shipped = weights.records()
    hashes = {INPUT: ""} | {name: record["sha256"] for name, record in shipped.items()}
    for task in tasks:
        path = tables.RESULTS / f"{task}.csv"
        for experiment in _scored(task, orientations):
            names = [name for name, record in shipped.items() if experiment.fits(record["network"])]
            names = [name for name in names if only is None or name in only]
            for name in (INPUT, *names) if orientations == 1 else names:
                for set_name in (name for name in experiment.sets if sets is None or name in sets):
                    run = {"weights": name, "sha256": hashes[name], "images": set_name}
                    done = _runs(_current(csv_table.read(path), shipped))
                    rows = _missing(done, run, experiment, orientations, data, save)
                    scored = _runs(rows)
                    # others may have shipped and scored meanwhile
                    kept = _current(csv_table.read(path), weights.records())
                    _write(path, [row for row in kept if _run(row) not in scored] + rows)


def _scored(task, orientations):
    """Returns the experiments of a task, with several orientations those whose damage has no direction."""
    runs = [run for run in EXPERIMENTS if run.task == task]
    return [run for run in runs if orientations == 1 or (task, run.network_level) not in DIRECTED]


def _runs(rows):
    """Returns {run: names of its images} of rows."""
    runs = {}
    for row in rows:
        runs.setdefault(_run(row), set()).add(row["image"])
    return runs


def _run(row):
    return tuple(row[key] for key in RUN)


def _missing(done, run, experiment, orientations, data, save):
    """Returns the rows of one network on one image set that are not done, or not of all images."""
    kept, remembered = [], {}
    name = None if run["weights"] == INPUT else run["weights"]
    names = {path.name for path in image_paths(data, run["images"])}
    for protocol in experiment.protocols:
        protocol = dataclasses.replace(protocol, orientations=orientations)
        run = run | {
            "level": experiment.level,
            **dataclasses.asdict(protocol),
            "corruption": repr(experiment.corruption),
        }
        run = {key: str(value) for key, value in run.items()}
        is_done = done.get(_run(run)) == names
        if is_done and not save:
            continue
        remembering = name and functools.partial(_remembering, remembered, restorer(name, orientations))
        clean = images(data, run["images"], protocol.color)
        scores = evaluate(remembering, clean, experiment.corruption, protocol)
        print(f"{_title(run)}  {scores[-1]['psnr']:.2f} dB  {scores[-1]['ssim']:.4f}", flush=True)
        if save and name and not kept:
            _save(Path(save), run, remembered, data, protocol)
        if not is_done:
            scores = [
                {key: f"{row[key]:.4f}" for key in ("psnr", "ssim")} | {"image": row["image"]} for row in scores[:-1]
            ]
            kept += [run | row for row in scores]
    return kept


def restorer(name, orientations=1):
    """Returns what restores a picture by a shipped network as `rednet` does."""
    color = COLORS.get(weights.records()[name]["network"]["task"], "channels")
    return functools.partial(restore, network(name), color=color, orientations=orientations)


def _remembering(remembered, run, corrupted):
    """Restores an image, once for all protocols."""
    key = corrupted.tobytes()
    if key not in remembered:
        remembered[key] = run(corrupted)
    return remembered[key]


def _save(folder, run, remembered, data, protocol):
    """Writes the restored images, and a contact sheet of the first: clean, corrupted, restored."""
    folder = folder / run["weights"] / f"{run['images']} {run['level']}"
    folder.mkdir(parents=True, exist_ok=True)
    clean = images(data, run["images"], protocol.color)
    sheet = {}
    for (name, image), (corrupted, restored) in zip(clean, remembered.items(), strict=True):
        image = image[: restored.shape[0], : restored.shape[1]]
        corrupted = np.frombuffer(corrupted, np.float32).reshape(restored.shape)
        with written_whole(folder / f"{Path(name).stem}.png") as path:
            contact.picture(restored).save(path)
        if len(sheet) < SHOWN:
            sheet[name] = {"clean": image, _title(run, "corrupted"): corrupted, "restored": restored}
    with written_whole(folder / "contact sheet.png") as path:
        contact.sheet(sheet).save(path)


@functools.cache
def network(name):
    """Returns a shipped network by the name of its weights."""
    described = weights.records()[name]["network"]
    options = {key: described[key] for key in ("level", "channels", "filters")}
    return BUILDERS[described["depth"]](described["task"], downsample_at=tuple(described["downsample_at"]), **options)


def _title(run, name=None):
    shave = f", shave {run['shave']}" if run["shave"] != "0" else ""
    return f"{name or run['weights']}  {run['images']}  {run['level']}{shave}  orientations {run['orientations']}"


def _current(rows, shipped):
    """Returns the rows of inputs and of shipped weights, where weights, corruption and protocol are as they were."""
    hashes = {INPUT: ""} | {name: record["sha256"] for name, record in shipped.items()}
    runs = {
        (images, experiment.level, *_protocol(dataclasses.asdict(protocol)), repr(experiment.corruption))
        for experiment in EXPERIMENTS
        for images in experiment.sets
        for protocol in experiment.protocols
    }
    return [
        row
        for row in rows
        if hashes.get(row["weights"]) == row["sha256"]
        and (row["images"], row["level"], *_protocol(row), row["corruption"]) in runs
    ]


def _protocol(fields):
    return [str(fields[name]) for name in PROTOCOL if name != "orientations"]


def _write(path, rows):
    order = {(run.task, run.level): i for i, run in enumerate(EXPERIMENTS)}
    rows.sort(
        key=lambda row: (
            row["weights"],
            row["images"],
            order[path.stem, row["level"]],
            row["orientations"],
            row["shave"],
        )
    )
    csv_table.write(path, COLUMNS, rows)


def print_scores(task, folder, *, channels, orientations):
    """Prints PSNR and SSIM of the networks of so many channels that `rednet` takes for a task, on images of a folder.

    Raises:
        ValueError: there is no such network, or no image.
    """
    dataset.keep_tensorflow_off_gpus()
    channels = channels or TASK_CHANNELS[task]
    experiments = [run for run in _scored(task, orientations) if run.channels == channels]
    if not experiments:
        raise ValueError(f"`channels` of {task} must be {TASK_CHANNELS[task]}. Received: channels={channels}.")
    protocols = [experiment.protocols[-1] for experiment in experiments]
    least = max(SSIM_WINDOW + 2 * protocol.shave + protocol.multiple - 1 for protocol in protocols)
    paths = dataset.usable(dataset.list_images(folder), patch_size=least)
    for experiment in experiments:
        protocol = dataclasses.replace(experiment.protocols[-1], orientations=orientations)
        name = taken(experiment)
        clean = ((p.name, dataset.read_image(p, color=protocol.color).astype(np.float32) / 255) for p in paths)
        rows = evaluate(restorer(name, orientations), clean, experiment.corruption, protocol)
        before, after = (
            f"{rows[-1]['psnr' + kind]:.2f} / {rows[-1]['ssim' + kind]:.4f}" for kind in ("_corrupted", "")
        )
        print(
            f"{name}, {tables.NAMES[task][1].format(experiment.level)}: {before} -> {after}  "
            f"(PSNR in dB / SSIM, {len(paths)} images, {protocol})",
            flush=True,
        )


def taken(experiment):
    """Returns the name of the fast RED30 that `rednet` takes: of just that scale, kernel or overlay, or a blind one."""
    task, channels, level = experiment.task, experiment.channels, experiment.network_level
    level = "blind" if task in ("denoise", "deblock") and level != "jpeg" else taken_level(task, channels, level)
    return weights.find(depth=30, task=task, level=level, channels=channels, filters=64, downsample_at=(1,))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m recipes.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--all", action="store_true", help="every task")
    parser.add_argument("--data", required=True, metavar="DATASETS", help="the folder of the test images")
    parser.add_argument("--orientations", type=int, choices=(1, 8), nargs="+", default=(1,))
    parser.add_argument(
        "--weights", nargs="+", choices=sorted(weights.records()), metavar="NAME", help="only these shipped networks"
    )
    parser.add_argument("--images", nargs="+", choices=FOLDERS, metavar="SET", help="only these image sets")
    parser.add_argument(
        "--save", metavar="FOLDER", help="write the restored images and contact sheets into this folder"
    )
    options = parser.parse_args(arguments)
    tasks = TASKS if options.all else options.tasks
    if not tasks or set(tasks) - set(TASKS):
        parser.error(f"name tasks of {', '.join(TASKS)}, or --all. Received: {' '.join(tasks) or 'none'}")
    dataset.keep_tensorflow_off_gpus()
    for orientations in options.orientations:
        score(tasks, options.data, orientations, options.save, options.weights, options.images)
    tables.write_readme()
    importlib.import_module("recipes.speed").write_table()  # it imports this one
    print(tables.summary(tasks))


if __name__ == "__main__":
    main()
