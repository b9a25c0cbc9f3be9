"""Restores millions of pictures on Ray: `python -m recipes.batch denoise PHOTOS... -o OUT`.

It takes what `rednet denoise`, `upscale`, `deblock`, `deblur` and `inpaint` take, and its own options before that.
PHOTO may also be a manifest, a .txt file with a path a line, relative to the manifest's folder. Pictures that are there
already are left out, so the same command goes on where it ended. A picture is tried a few times, if its process or
machine dies, fails or takes too long; what cannot be restored stands in OUT/dead_letters.csv with the reason. What
counts in the end are the files: inputs = outputs + dead letters, or the exit status is 2.
"""

import argparse
import codecs
import contextlib
import csv
import functools
import importlib
import logging
import os
import socket
import sys
import threading
import time
from pathlib import Path

import keras

from keras_rednet import cli, photos
from keras_rednet.weights import locked, written_whole

DEAD_LETTERS = "dead_letters.csv"
BATCH = 8  # pictures at a time for a process, at most; alone when they are tried for the last time
SLICE = 100_000  # pictures that Ray is given at a time, at least, as it keeps some kilobytes for each
SLICE_BATCHES = 20  # of each process in a slice, at least, lest many idle at its end
TIMEOUT = 6 * 3600  # seconds for a picture
LONGEST_PAUSE = 10  # seconds that a process waits after a failure
ROUND_PAUSE = 30  # seconds before another attempt
PATIENCE = 10  # failures, one after the other, after which a process ends and another one takes its place
CHECK_SECONDS = 120  # that machines have to tell what they lack
MEMORY = 1.5 * 2**30  # bytes of a process, of pictures of up to 24 megapixels: tests/benchmark/results/restore.csv
MOST_FOLDERS = 100  # of the pictures', of which each machine tells whether it sees them
# Memory of a GPU is taken as it is needed, not all at the start: other processes want some, too.
GPU_SHARED = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
ROUNDS = 4  # of batches for each process, at least, lest one idles long while another restores the last batch


# Tasks of Ray, not actors: an actor whose machine is lost waits for another one, and its pictures with it. A task goes
# to any process, and a process keeps its network.
@functools.cache
def _restorer(work):
    return photos.Restorer(work)


def attempt(work, source, target):
    """Restores a file; returns (what went wrong or an empty text, whether another attempt may end otherwise)."""
    try:
        if os.path.isfile(target):
            return "", False
        restorer = _restorer(work)
        try:
            restorer.restore_file(source, target)
            return "", False
        except ValueError as error:  # of the picture
            return " ".join(str(error).split()) or "ValueError", False
    except Exception as error:  # of the machine perhaps; whatever it is, raised further it would lose its words
        return " ".join(f"{type(error).__name__}: {error}".split()), getattr(error, "errno", None) not in photos.FULL


_failures = 0  # of this process, one after the other


def _restore_batch(batch, work, attempt, timeout, last):
    jobs = zip(batch["source"], batch["target"], strict=True)
    answers = [_patiently(attempt, work, Path(source), Path(target), timeout, last) for source, target in jobs]
    errors, again = zip(*answers, strict=True)
    return {**batch, "error": list(errors), "again": list(again)}


def _patiently(attempt, work, source, target, timeout, last):
    """Returns what `attempt` does, after a pause where it failed; ends the process where that takes too long.

    A process or machine that fails fails fast: without pauses, ever longer ones, most pictures would come to it. After
    some failures in a row the process ends, as a GPU may stay sick for it; in the `last` round it stays, for its words.
    """
    global _failures
    watchdog = threading.Timer(timeout, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()
    try:
        error, again = attempt(work, source, target)
    finally:
        watchdog.cancel()
    _failures = _failures + 1 if again else 0
    if again:
        time.sleep(min(0.1 * 2**_failures, LONGEST_PAUSE))
        if _failures >= PATIENCE and not last:
            os._exit(1)
    return error, again


def _environment(threads):
    """Returns the environment of all processes, on all machines, but for what this one's says otherwise."""
    variables = GPU_SHARED | {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a process that has asked for no GPU sees none
    }
    backend = {"KERAS_BACKEND": keras.backend.backend()}
    return {name: os.environ.get(name, value) for name, value in variables.items()} | backend


def restore_all(
    jobs,
    work,
    *,
    workers,
    threads=1,
    gpus=0,
    memory=0,
    attempts=3,
    timeout=TIMEOUT,
    attempt=attempt,
    report=lambda target, error: None,
):
    """Restores picture files on a Ray cluster that this process has joined.

    Args:
        jobs: list of (source, target) paths, no target twice.
        work: `photos.Work`.
        workers: processes, over all machines.
        threads, gpus, memory: of each of them, the last in bytes.
        attempts: how often a picture is tried whose process or machine dies or fails.
        timeout: seconds after which a process that restores a picture is ended.
        attempt: `attempt`, or a function like it.
        report: called with the target and the reason, or an empty text, of every picture that need not be tried again.

    Returns:
        {target path: reason} of those that are not restored.
    """
    dead, left = {}, jobs
    resources = {"num_cpus": threads, "num_gpus": gpus, "memory": memory}
    for number in range(attempts):
        last = number == attempts - 1
        alone = last and number > 0
        size = 1 if alone else max(1, min(BATCH, len(left) // (ROUNDS * workers)))
        how = {"work": work, "attempt": attempt, "timeout": timeout, "last": last}
        settled, failed = set(), False
        for target, error, again in _run(left, how, workers, resources, size, int(alone)):
            dead.pop(target, None)
            if error:
                dead[target] = error
            if again:
                failed = True
            else:
                settled.add(target)
                report(target, error)
        remaining = []
        for source, target in (job for job in left if str(job[1]) not in settled):
            if os.path.isfile(target):  # the process died later
                report(str(target), "")
            elif _is_gone(source):  # of an old manifest
                dead[str(target)] = f"FileNotFoundError: {source} is not there"
                report(str(target), dead[str(target)])
            else:
                remaining.append((source, target))
        left = remaining
        if left and failed and not last:
            time.sleep(ROUND_PAUSE)  # what fails everywhere, a file system for instance, may pass
    reason = f"its process died or failed, or took more than {timeout:g} s, {attempts} times"
    dead = {str(target): reason for _, target in left} | dead
    return {target: reason for target, reason in dead.items() if not os.path.isfile(target)}


def _is_gone(path):
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # who knows
        pass
    return False


def _run(jobs, how, workers, resources, size, batches):
    """Yields (target, error, again) of the pictures that came back; those whose process died do not.

    A process ends after so many `batches` of `size` pictures, or never, if 0: it may be the process that has failed.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    environment = {"env_vars": _environment(resources["num_cpus"])}
    step = max(SLICE, SLICE_BATCHES * size * workers)
    for start in range(0, len(jobs), step):
        rows = [{"source": str(source), "target": str(target)} for source, target in jobs[start : start + step]]
        pictures = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
            _restore_batch,
            fn_kwargs=how,
            batch_size=size,
            **resources,
            max_calls=batches,  # by itself Ray ends a process with a GPU after each
            compute=ray.data.TaskPoolStrategy(size=workers),
            # `restore_all` tries again; Ray would for ever
            ray_remote_args_fn=lambda: {"max_retries": 0, "runtime_env": environment},
        )
        for row in pictures.iter_rows():
            yield row["target"], row["error"], row["again"]


def list_jobs(paths, output):
    """Returns (source, target) of folders, pictures and manifests; a picture that stands twice in these, once.

    Raises:
        ValueError: no pictures, two for one target, or a target that is one of the pictures.
    """
    jobs, pictures = [], [path for path in paths if path.suffix != ".txt"]
    for manifest in (path for path in paths if path.suffix == ".txt"):
        folder = Path(os.path.abspath(manifest.parent))
        for line in _lines(manifest):
            source = Path(os.path.abspath(folder / line))
            if not source.is_relative_to(folder):
                raise ValueError(f"{manifest} names {line}. Expected: paths below its own folder.")
            jobs.append((source, Path(output) / source.relative_to(folder)))
    jobs += photos.jobs(pictures, str(output) + "/") if pictures else []
    jobs = list(dict.fromkeys((source.absolute(), target.absolute()) for source, target in jobs))
    if not jobs:
        raise ValueError("no pictures in the manifests.")
    photos.refuse_doubles(jobs)
    photos.refuse_in_place(jobs)
    return jobs


def _lines(manifest):
    """Returns the names in a manifest, in any encoding, as file systems take them."""
    content = manifest.read_bytes().removeprefix(codecs.BOM_UTF8)
    return [os.fsdecode(line) for line in content.splitlines() if line]


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m recipes.batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--address", default="local", help="of a Ray cluster, HOST:PORT or auto; this machine, without")
    parser.add_argument(
        "--workers", type=_count, metavar="NUMBER", help="processes; as many as processors and memory allow"
    )
    parser.add_argument("--threads", type=_count, default=1, metavar="NUMBER", help="of each process")
    parser.add_argument("--gpus", type=float, default=0, metavar="NUMBER", help="of each process")
    parser.add_argument(
        "--attempts", type=_count, default=3, metavar="NUMBER", help="for pictures whose process or machine fails"
    )
    parser.add_argument(
        "--timeout", type=_count, default=TIMEOUT, metavar="SECONDS", help=f"for a picture, {TIMEOUT} by default"
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
    os.environ.update(GPU_SHARED | os.environ)
    output = Path(command.output).absolute()
    try:
        jobs = list_jobs(command.photos, command.output)
        photos.Restorer(cli.work(command))  # says at once which weights are not there
        output.mkdir(parents=True, exist_ok=True)
    except photos.FAILURES as error:
        parser.error(str(error))
    try:
        import ray
    except ImportError:
        parser.error('Ray is not installed: pip install "keras_rednet[ray]".')
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    environment = {"env_vars": _environment(options.threads)}  # of the checks, too
    try:
        _reach(options.address)
        ray.init(address=options.address, runtime_env=environment, log_to_driver=False, logging_level="warning")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        parser.error(f"--address {options.address}: {error}")
    nodes = _nodes_with(ray.nodes(), CPU=options.threads, GPU=options.gpus)
    if not nodes:
        ray.shutdown()
        parser.error(
            f"Ray knows of no machine with {options.threads} processors and {options.gpus:g} GPUs, as a process takes: "
            "choose other --threads or --gpus, or start Ray where there are some."
        )
    if unfit := _unfit(nodes, cli.work(command), _folders(jobs), output, options.gpus):
        ray.shutdown()
        parser.error(f"Not every machine can take part. {unfit}")
    left = [job for job in jobs if not os.path.isfile(job[1])]
    if len(left) < len(jobs):
        print(f"{len(jobs) - len(left)} of {len(jobs)} pictures are there already", flush=True)
    memory = 0 if options.workers else min(MEMORY, max(node["Resources"].get("memory", 0) for node in nodes))
    workers = options.workers or _workers(nodes, options.threads, options.gpus, memory)
    start, dead = time.perf_counter(), {}
    try:
        with _counting(
            len(left), lambda: len(_nodes_with(ray.nodes(), CPU=options.threads, GPU=options.gpus))
        ) as count:

            def report(target, error):
                dead.update({target: error} if error else {})
                count()

            dead = restore_all(
                left,
                cli.work(command),
                workers=workers,
                threads=options.threads,
                gpus=options.gpus,
                memory=memory,
                attempts=options.attempts,
                timeout=options.timeout,
                report=report,
            )
    except BaseException as error:  # an interrupt, too; what is known of bad pictures is kept
        print(f"rednet: ended by {type(error).__name__}; the same command goes on from here", file=sys.stderr)
        _reconcile(jobs, dead, output, time.perf_counter() - start)
        if isinstance(error, KeyboardInterrupt):
            return 130
        raise
    finally:
        ray.shutdown()
    return _reconcile(jobs, dead, output, time.perf_counter() - start)


def _reach(address):
    """Raises an OSError where nothing listens at HOST:PORT: Ray would wait for it, in silence."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def _count(text):
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, received {number}")
    return number


def _nodes_with(nodes, **wanted):
    """Returns the machines that have these resources. Ray would wait for one, in silence and for ever."""
    alive = [node for node in nodes if node["Alive"]]
    return [node for node in alive if all(node["Resources"].get(name, 0) >= least for name, least in wanted.items())]


def _folders(jobs):
    """Returns folders of pictures, some of them where there are many, and none that is not there for any machine."""
    folders = sorted(folder for folder in {source.parent for source, _ in jobs} if folder.is_dir())
    return folders[:: len(folders) // MOST_FOLDERS + 1]


def _unfit(nodes, work, folders, output, gpus=0):
    """Returns, in words, what machines lack that would fail, and so fast that most pictures came to them."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    found, check = [], ray.remote(num_cpus=0, num_gpus=gpus, max_retries=0, max_calls=1)(_missing)
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    answers = [check.options(scheduling_strategy=place).remote(work, folders, output, gpus) for place in places]
    deadline = time.monotonic() + CHECK_SECONDS
    for node, answer in zip(nodes, answers, strict=True):
        try:
            missing = ray.get(answer, timeout=max(0, deadline - time.monotonic()))
        except ray.exceptions.GetTimeoutError:  # its GPUs are busy with others' work
            ray.cancel(answer)
            continue
        except ray.exceptions.RayError as error:  # of another version of Python, or without this package
            missing = str(error).strip().splitlines()[-1]
            if node["NodeID"] not in {other["NodeID"] for other in ray.nodes() if other["Alive"]}:
                continue
        if missing:
            found.append(f"{node['NodeManagerHostname']}: {missing}.")
    return " ".join(found)


def _missing(work, folders, output, gpus=0):
    """Returns what this machine lacks to restore pictures, or an empty text."""
    if gone := [str(folder) for folder in folders if not folder.is_dir()]:
        return f"{gone[0]} is not there"
    if not os.access(output, os.W_OK):
        return f"{output} is not there, or cannot be written to"
    if gpus and not _sees_a_gpu():
        return f"{keras.backend.backend()} sees no GPU there: install it for GPUs, or leave out --gpus"
    try:
        photos.Restorer(work)
    except photos.FAILURES as error:
        return " ".join(str(error).split()).rstrip(".")
    return ""


def _sees_a_gpu():
    backend = keras.backend.backend()
    engine = importlib.import_module(backend)
    if backend == "jax":
        return engine.default_backend() != "cpu"
    return engine.cuda.is_available() if backend == "torch" else bool(engine.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def _counting(total, machines, seconds=30):
    """A context in which it is told now and then how many pictures are done, even if none is, and by how many machines.

    It gives the function that counts them.
    """
    start, done, end = time.perf_counter(), 0, threading.Event()

    def count():
        nonlocal done
        done += 1

    def tell():
        while not end.wait(seconds):
            speed = done / (time.perf_counter() - start)
            print(f"{done} of {total} pictures, {speed:.1f} a second, {machines()} machines", flush=True)

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield count
    finally:
        end.set()


def _workers(nodes, threads, gpus, memory):
    """Returns how many processes the processors, GPUs and memory of machines are enough for."""
    wanted = {"CPU": threads, "GPU": gpus, "memory": memory}
    wanted = {name: least for name, least in wanted.items() if least}
    return sum(
        int(min(node["Resources"].get(name, 0) / least + 1e-6 for name, least in wanted.items())) for node in nodes
    )


def _reconcile(jobs, dead, output, seconds):
    how = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}  # names may be in no encoding
    rows = [(str(source), dead[str(target)]) for source, target in jobs if str(target) in dead]
    with locked(output / f".{DEAD_LETTERS}.lock", wait=True):  # other commands write there, too
        others = _dead_letters_of_other_commands(output, {str(source) for source, _ in jobs})
        with written_whole(output / DEAD_LETTERS) as path, path.open("w", **how) as file:
            writer = csv.writer(file)
            writer.writerow(["picture", "reason"])
            writer.writerows(sorted([*others, *rows]))
    lost = [target for _, target in jobs if str(target) not in dead and not os.path.isfile(target)]
    there = len(jobs) - len(dead) - len(lost)
    print(f"{len(jobs)} inputs = {there} outputs + {len(dead)} dead letters, {seconds:.0f} s")
    if lost:
        words = f"{len(lost)} are neither, such as {lost[0]}: run the same command again, and see that all machines "
        print(f"rednet: {words}share the output folder", file=sys.stderr)
        return 2
    return 1 if dead else 0


def _dead_letters_of_other_commands(output, sources):
    """Returns the rows of pictures that are not among `sources`, of another manifest perhaps, and are still there."""
    if not (output / DEAD_LETTERS).is_file():
        return []
    escaped = {source.encode(errors="backslashreplace").decode() for source in sources}
    with (output / DEAD_LETTERS).open(newline="", encoding="utf-8", errors="backslashreplace") as file:
        first = file.readline()  # a spreadsheet may have saved it, with other marks between the columns
        rows = [row[:2] for row in csv.reader(file, delimiter=";" if ";" in first else ",") if len(row) >= 2]
    others = [(picture, reason) for picture, reason in rows if picture not in escaped]
    return [(picture, reason) for picture, reason in others if "\\" in picture or not _is_gone(picture)]


if __name__ == "__main__":
    sys.exit(importlib.import_module("recipes.batch").main())  # by that name other processes find it, too
