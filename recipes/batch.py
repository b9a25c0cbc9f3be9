"""Restores millions of pictures on Ray: `python -m recipes.batch denoise PHOTOS... -o OUT`.

It takes what `rednet denoise`, `upscale`, `deblock`, `deblur` and `inpaint` take, and its own options before that.
PHOTO may also be a manifest, a .txt file with a path a line, relative to the manifest's folder. Pictures that are there
already are left out, so the same command goes on where it ended. Every picture is tried a few times, if its process or
machine dies; what cannot be restored stands in OUT/dead_letters.csv with the reason. What counts in the end are the
files: inputs = outputs + dead letters, or the exit status is 2.
"""

import argparse
import collections
import csv
import functools
import importlib
import logging
import os
import sys
import time
from pathlib import Path

from keras_rednet import cli, photos
from keras_rednet.weights import written_whole

DEAD_LETTERS = "dead_letters.csv"
BATCH = 8  # pictures at a time for a process, at first and at most; alone when they are tried again
ROUNDS = 4  # of batches for each process, at least, lest one idles long while another restores the last batch


# Tasks of Ray, not actors: an actor whose machine is lost waits for another one, and its pictures with it. A task goes
# to any process, and a process keeps its network.
@functools.cache
def _restorer(work):
    return photos.Restorer(work)


def attempt(work, source, target):
    """Restores a file; returns an empty text, or what went wrong."""
    try:
        if not target.is_file():
            _restorer(work).restore_file(source, target)
        return ""
    except photos.FAILURES as error:
        return " ".join(str(error).split()) or type(error).__name__


def _restore_batch(batch, work, threads, attempt):
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    _share_gpus()
    jobs = zip(batch["source"], batch["target"], strict=True)
    return {**batch, "error": [attempt(work, Path(source), Path(target)) for source, target in jobs]}


def _share_gpus():
    """Lets TensorFlow and JAX take a GPU's memory as they need it, not all at their start: others want some, too."""
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def restore_all(jobs, work, *, workers, threads=1, gpus=0, attempts=3, attempt=attempt, report=lambda source: None):
    """Restores picture files on a Ray cluster that this process has joined.

    Args:
        jobs: list of (source, target) paths.
        work: `photos.Work`.
        workers: processes, over all machines.
        threads, gpus: of each of them.
        attempts: how often a picture is tried that kills its process.
        attempt: `attempt`, or a function like it.
        report: called with the path of every picture that has come back.

    Returns:
        {source path: reason} of those that are not restored.
    """
    reasons, answered, left = {}, set(), [job for job in jobs if not job[1].is_file()]
    size = max(1, min(BATCH, len(left) // (ROUNDS * workers)))
    for number in range(attempts):
        how = {"work": work, "threads": threads, "attempt": attempt}
        for source, error in _run(left, how, workers, threads, gpus, size if number == 0 else 1):
            answered.add(source)
            if error:
                reasons[source] = error
            report(source)
        left = [(source, target) for source, target in left if str(source) not in answered and not target.is_file()]
        if not left:
            break
    return reasons | {str(source): f"its process died or failed, {attempts} times" for source, _ in left}


def _run(jobs, how, workers, threads, gpus, size):
    """Yields (source, error) of the pictures that came back; those whose process died do not."""
    import ray

    rows = [{"source": str(source), "target": str(target)} for source, target in jobs]
    if not rows:
        return
    context = ray.data.DataContext.get_current()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    pictures = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
        _restore_batch,
        fn_kwargs=how,
        batch_size=size,
        num_cpus=threads,
        num_gpus=gpus,
        compute=ray.data.TaskPoolStrategy(size=workers),
        ray_remote_args_fn=lambda: {"max_retries": 0},  # `restore_all` tries again; Ray would for ever
    )
    for row in pictures.iter_rows():
        yield row["source"], row["error"]


def list_jobs(paths, output):
    """Returns (source, target) of folders, pictures and manifests."""
    jobs, pictures = [], [path for path in paths if path.suffix != ".txt"]
    for manifest in (path for path in paths if path.suffix == ".txt"):
        folder = Path(os.path.abspath(manifest.parent))
        for line in filter(None, manifest.read_text().splitlines()):
            source = Path(os.path.abspath(folder / line))
            if not source.is_relative_to(folder):
                raise ValueError(f"{manifest} names {line}. Expected: paths below its own folder.")
            jobs.append((source, Path(output) / source.relative_to(folder)))
    jobs += photos.jobs(pictures, str(output) + "/") if pictures else []
    doubles = [str(target) for target, count in collections.Counter(t for _, t in jobs).items() if count > 1]
    if doubles or not jobs:
        raise ValueError(f"Several pictures would become {doubles[0]}." if doubles else "no pictures in the manifests.")
    return [(source.absolute(), target.absolute()) for source, target in jobs]


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m recipes.batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--address", default="local", help="of a Ray cluster, HOST:PORT or auto; this machine, without")
    parser.add_argument("--workers", type=int, metavar="NUMBER", help="processes; as many as there are processors")
    parser.add_argument("--threads", type=int, default=1, metavar="NUMBER", help="of each process")
    parser.add_argument("--gpus", type=float, default=0, metavar="NUMBER", help="of each process")
    parser.add_argument(
        "--attempts", type=int, default=3, metavar="NUMBER", help="for pictures that kill their process"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="of `rednet`, with its options")
    options = parser.parse_args(arguments)
    command = cli.parse(options.command)
    if not hasattr(command, "photos"):
        parser.error(f"expected a command of `rednet` that restores pictures, received {options.command[:1]}")
    if command.overwrite:
        parser.error("--overwrite would restore everything anew after each interruption: choose another --output")
    if command.weights and command.weights.endswith((".npz", ".tflite")):
        command.weights = os.path.abspath(command.weights)  # processes of other machines work in other folders
    _share_gpus()
    try:
        jobs = list_jobs(command.photos, command.output)
        photos.Restorer(cli.work(command))  # says at once which weights are not there
    except photos.FAILURES as error:
        parser.error(str(error))
    try:
        import ray
    except ImportError:
        parser.error('Ray is not installed: pip install "keras_rednet[ray]".')
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address=options.address, log_to_driver=False, logging_level="warning")
    if not _some_machine_has(ray.nodes(), CPU=options.threads, GPU=options.gpus):
        ray.shutdown()
        parser.error(
            f"Ray knows of no machine with {options.threads} processors and {options.gpus:g} GPUs, as a process takes: "
            "choose other --threads or --gpus, or start Ray where there are some."
        )
    workers = options.workers or int(ray.cluster_resources()["CPU"] // options.threads)
    start = time.perf_counter()
    dead = restore_all(
        jobs,
        cli.work(command),
        workers=workers,
        threads=options.threads,
        gpus=options.gpus,
        attempts=options.attempts,
        report=_progress(len(jobs)),
    )
    ray.shutdown()
    return _reconcile(jobs, dead, Path(command.output), time.perf_counter() - start)


def _some_machine_has(nodes, **wanted):
    """Tells whether a machine has these resources. Ray would wait for one, in silence and for ever."""
    there = [node["Resources"] for node in nodes if node["Alive"]]
    return any(all(resources.get(name, 0) >= least for name, least in wanted.items()) for resources in there)


def _progress(total, seconds=10):
    """Returns a function that counts its calls and prints now and then how many there were."""
    start = last = time.perf_counter()
    done = 0

    def count(source):
        nonlocal last, done
        done, now = done + 1, time.perf_counter()
        if now - last > seconds:
            last = now
            print(f"{done} of {total} pictures, {done / (now - start):.1f} a second", flush=True)

    return count


def _reconcile(jobs, dead, output, seconds):
    output.mkdir(parents=True, exist_ok=True)
    how = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}  # names may be in no encoding
    others = _dead_letters_of_other_commands(output, {str(source) for source, _ in jobs})
    with written_whole(output / DEAD_LETTERS) as path, path.open("w", **how) as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "reason"])
        writer.writerows(sorted([*others, *dead.items()]))
    there = sum(target.is_file() for _, target in jobs)
    print(f"{len(jobs)} inputs = {there} outputs + {len(dead)} dead letters, {seconds:.0f} s")
    if there + len(dead) != len(jobs):
        words = "the numbers differ: run the same command again, and see that all machines share the output folder"
        print(f"rednet: {words}", file=sys.stderr)
        return 2
    return 1 if dead else 0


def _dead_letters_of_other_commands(output, sources):
    """Returns the rows of pictures that are not among `sources`, of another manifest perhaps."""
    if not (output / DEAD_LETTERS).is_file():
        return []
    escaped = {source.encode(errors="backslashreplace").decode() for source in sources}
    with (output / DEAD_LETTERS).open(newline="", encoding="utf-8") as file:
        return [(row["picture"], row["reason"]) for row in csv.DictReader(file) if row["picture"] not in escaped]


if __name__ == "__main__":
    sys.exit(importlib.import_module("recipes.batch").main())  # by that name other processes find it, too
