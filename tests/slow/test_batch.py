"""Ray restores every picture or says why not, whatever dies meanwhile."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_hostile import tiny_weights  # noqa: F401  a fixture

from keras_rednet.photos import Work

ray = pytest.importorskip("ray", reason="Ray is not installed")
ray_cluster = pytest.importorskip("ray.cluster_utils")

from recipes import batch  # noqa: E402

PICTURES = 48


def dying(work, source, target):
    """Dies of one picture, always; takes its time for the others and leaves word of its process and machine."""
    (target.parent / f"process-{os.getpid()}-{ray.get_runtime_context().get_node_id()}").touch()
    if source.name == "poison.png":
        (target.parent / f"poison-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)
    return batch.attempt(work, source, target)


@pytest.fixture
def photos_folder(photos, tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for i in range(PICTURES):
        (folder / "sub" / f"{i:02}.png").write_bytes((photos / f"photo{i % 6}.png").read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "half.png").write_bytes((photos / "photo0.png").read_bytes()[:500])
    return folder


@pytest.fixture
def cluster():
    """Two machines, as Ray sees them, of one processor each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = ray_cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.second = cluster.add_node(num_cpus=1)
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def marks(out):
    """Returns pairs (process, machine) of those that have begun a picture."""
    return {tuple(mark.name.split("-")[1:]) for mark in out.rglob("process-*")}


def run(folder, out, weights, **options):
    jobs = batch.list_jobs([folder], out)
    out.mkdir(exist_ok=True)
    (out / "sub").mkdir(exist_ok=True)
    return jobs, batch.restore_all(jobs, Work("denoise", weights=str(weights)), workers=2, **options)


def check(jobs, dead, names):
    assert {Path(target).name for target in dead} == names
    assert {source.name for source, target in jobs if not target.exists()} == names
    assert len(dead) + sum(target.exists() for _, target in jobs) == len(jobs)


@pytest.mark.slow
def test_the_command(photos_folder, tiny_weights, tmp_path):  # noqa: F811
    command = [
        sys.executable,
        "-m",
        "recipes.batch",
        "--workers",
        "2",
        "denoise",
        photos_folder,
        "-o",
        tmp_path / "out",
    ]
    command = [*map(str, command), "--weights", str(tiny_weights)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.stdout.splitlines()[-1].startswith(f"{PICTURES + 2} inputs = {PICTURES} outputs + 2 dead letters"), (
        done.stderr
    )
    assert done.returncode == 1
    with (tmp_path / "out" / batch.DEAD_LETTERS).open() as file:
        reasons = {Path(row["picture"]).name: row["reason"] for row in csv.DictReader(file)}
    assert sorted(reasons) == ["broken.png", "half.png"]
    assert "not a picture" in reasons["broken.png"]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "sub").iterdir()}
    manifest = photos_folder / "list.txt"
    manifest.write_text("sub/00.png\nsub/01.png\n")
    (tmp_path / "out" / "sub" / "00.png").unlink()
    command[command.index(str(photos_folder))] = str(manifest)
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.stdout.splitlines()[-1].startswith("2 inputs = 2 outputs + 0 dead letters"), done.stderr
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "sub").iterdir()}
    assert {path.name for path in times if times[path] != again[path]} == {"00.png"}
    with (tmp_path / "out" / batch.DEAD_LETTERS).open() as file:
        assert {Path(row["picture"]).name for row in csv.DictReader(file)} == {"broken.png", "half.png"}


@pytest.mark.slow
def test_what_no_machine_has_is_told(photos_folder, tiny_weights, tmp_path):  # noqa: F811
    command = [sys.executable, "-m", "recipes.batch", "--gpus", "0.5", "denoise", photos_folder, "-o", tmp_path / "out"]
    done = subprocess.run(
        [*map(str, command), "--weights", str(tiny_weights)], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 2
    assert "Ray knows of no machine with 1 processors and 0.5 GPUs" in done.stderr


@pytest.mark.slow
def test_a_killed_process(photos_folder, tiny_weights, tmp_path, cluster):  # noqa: F811
    out = tmp_path / "out"
    meanwhile = ThreadPoolExecutor(1).submit(_kill_one, out)
    jobs, dead = run(photos_folder, out, tiny_weights, attempt=dying)
    meanwhile.result()
    check(jobs, dead, {"broken.png", "half.png"})
    assert len(marks(out)) >= 3  # one took the place of the killed


def _kill_one(out):
    _until(lambda: marks(out))
    os.kill(int(marks(out).pop()[0]), signal.SIGKILL)


def _until(there, seconds=120):
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "nothing has begun"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_lost_machine(photos_folder, tiny_weights, tmp_path, cluster):  # noqa: F811
    out = tmp_path / "out"

    def lose():
        _until(lambda: cluster.second.node_id in {machine for _, machine in marks(out)})
        cluster.remove_node(cluster.second, allow_graceful=False)
        return sum(target.exists() for _, target in batch.list_jobs([photos_folder], out))

    meanwhile = ThreadPoolExecutor(1).submit(lose)
    jobs, dead = run(photos_folder, out, tiny_weights, attempt=dying)
    assert meanwhile.result() < PICTURES  # there was work left
    check(jobs, dead, {"broken.png", "half.png"})


@pytest.mark.slow
def test_a_picture_that_kills(photos_folder, tiny_weights, tmp_path, cluster):  # noqa: F811
    (photos_folder / "sub" / "poison.png").write_bytes((photos_folder / "sub" / "00.png").read_bytes())
    jobs, dead = run(photos_folder, tmp_path / "out", tiny_weights, attempt=dying, attempts=2)
    check(jobs, dead, {"broken.png", "half.png", "poison.png"})
    assert len(list((tmp_path / "out" / "sub").glob("poison-*"))) == 2
    assert [reason for target, reason in dead.items() if "poison" in target] == [
        f"its process died or failed, or took more than {batch.TIMEOUT} s, 2 times"
    ]


def forgetful(work, source, target):
    """Fails at some pictures once, as a machine does that is out of memory."""
    mark = target.with_name(f"{target.name}.failed")
    if target.name.startswith("0") and not mark.exists():
        mark.touch()
        return "MemoryError", True
    return batch.attempt(work, source, target)


@pytest.mark.slow
def test_a_machine_that_fails_is_no_reason_to_give_up(photos_folder, tiny_weights, tmp_path, cluster, monkeypatch):  # noqa: F811
    monkeypatch.setattr(batch, "ROUND_PAUSE", 0)
    monkeypatch.setattr(batch, "SLICE", 20)  # of pictures that Ray is given at a time
    monkeypatch.setattr(batch, "SLICE_BATCHES", 1)
    _, dead = run(photos_folder, tmp_path / "once", tiny_weights, attempt=forgetful, attempts=1)
    assert list(dead.values()).count("MemoryError") == 10
    jobs, dead = run(photos_folder, tmp_path / "out", tiny_weights, attempt=forgetful, attempts=2)
    check(jobs, dead, {"broken.png", "half.png"})


def sick(work, source, target):
    """Fails at once in the first process that comes here, and takes its time in the others."""
    with contextlib.suppress(FileExistsError):
        (work_folder := target.parents[1]).joinpath("sick").symlink_to(str(os.getpid()))
    if os.readlink(work_folder / "sick") == str(os.getpid()):
        return "OSError: stale file handle", True
    time.sleep(0.5)
    return batch.attempt(work, source, target)


@pytest.mark.slow
def test_a_process_that_fails_does_not_get_most_of_the_work(photos_folder, tiny_weights, tmp_path, cluster):  # noqa: F811
    for name in ("broken.png", "half.png"):
        (photos_folder / name).unlink()
    _, dead = run(photos_folder, tmp_path / "out", tiny_weights, attempt=sick, attempts=1)
    assert set(dead.values()) == {"OSError: stale file handle"}
    assert 0 < len(dead) < PICTURES / 3


def stuck(work, source, target):
    """Never comes to an end with one picture."""
    time.sleep(1000 * (source.name == "stuck.png"))
    return batch.attempt(work, source, target)


@pytest.mark.slow
def test_a_picture_that_takes_for_ever(photos_folder, tiny_weights, tmp_path, cluster):  # noqa: F811
    (photos_folder / "stuck.png").write_bytes((photos_folder / "sub" / "00.png").read_bytes())
    jobs, dead = run(photos_folder, tmp_path / "out", tiny_weights, attempt=stuck, attempts=2, timeout=20)
    check(jobs, dead, {"broken.png", "half.png", "stuck.png"})
    reasons = [reason for target, reason in dead.items() if "stuck" in target]
    assert reasons == ["its process died or failed, or took more than 20 s, 2 times"]


@pytest.mark.slow
def test_a_process_with_a_gpu_keeps_its_network(photos_folder, tiny_weights, tmp_path, cluster):  # noqa: F811
    cluster.add_node(num_cpus=1, num_gpus=1)  # so Ray is told
    jobs, dead = run(photos_folder, tmp_path / "out", tiny_weights, attempt=dying, gpus=1)
    check(jobs, dead, {"broken.png", "half.png"})
    assert len(marks(tmp_path / "out")) == 1


@pytest.mark.slow
def test_machines_that_lack_a_folder_are_named(tmp_path, cluster):
    assert batch._unfit(ray.nodes(), Work("denoise"), [tmp_path], tmp_path) == ""
    words = batch._unfit(ray.nodes(), Work("denoise"), [tmp_path / "none"], tmp_path)
    assert words.count(f"{tmp_path}/none is not there.") == 2
