"""What recipes/batch.py does before and without Ray."""

import concurrent.futures
import os
import socket
import sys
import threading
import time
import types
from pathlib import Path

import pytest
import tensorflow as tf

from keras_rednet import weights
from keras_rednet.photos import Work
from recipes import batch


def test_a_manifest_of_another_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "list.txt").write_text("a.png\nsub/b.png\n")
    monkeypatch.chdir(tmp_path / "here")
    jobs = batch.list_jobs([Path("../photos/list.txt")], "out")
    sources = [tmp_path / "photos" / name for name in ("a.png", "sub/b.png")]
    assert jobs == [(source, tmp_path / "here" / "out" / source.relative_to(tmp_path / "photos")) for source in sources]
    (tmp_path / "photos" / "list.txt").write_text("../here/a.png\n")
    with pytest.raises(ValueError, match=r"list.txt names ../here/a.png. Expected: paths below its own folder"):
        batch.list_jobs([Path("../photos/list.txt")], "out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["none.txt"], "none.txt"),
        (["{photos}", "--weights", "none.npz"], "none.npz"),
        (["{photos}", "--weights", "red30"], "red30"),
        (["{photos}", "-o", "{photos}"], "choose another --output"),
        (["{photos}", "--overwrite"], "--overwrite would restore everything anew"),
    ],
)
def test_what_is_wrong_is_told_before_ray_starts(photos, tmp_path, options, words, capsys):
    options = [option.format(photos=photos) for option in options]
    with pytest.raises(SystemExit) as end:
        batch.main(["denoise", "-o", str(tmp_path / "out"), *options])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_a_process_without_the_weights_says_so(photos, tmp_path):
    work = Work(task="denoise", weights=os.path.join(tmp_path, "none.npz"))
    error, again = batch.attempt(work, photos / "photo0.png", tmp_path / "out.png")
    assert "none.npz" in error
    assert again  # another machine may have them


def test_only_what_is_wrong_with_a_picture_is_final(photos, tmp_path, monkeypatch):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    error, again = batch.attempt(Work("denoise"), tmp_path / "broken.png", tmp_path / "out.png")
    assert ("not a picture" in error, again) == (True, False)
    error, again = batch.attempt(Work("denoise"), tmp_path / "none.png", tmp_path / "out.png")
    assert ("FileNotFoundError: [Errno 2]" in error, again) == (True, True)

    def restore_file(self, source, target):
        raise AttributeError("what nobody\nthought of")

    monkeypatch.setattr(batch.photos.Restorer, "restore_file", restore_file)
    error = batch.attempt(Work("denoise"), photos / "photo0.png", tmp_path / "out.png")
    assert error == ("AttributeError: what nobody thought of", True)


def test_manifests_in_any_encoding(tmp_path):
    names = [b"caf\xe9.png", "über.png".encode(), "a\u2028b.png".encode(), b"c\x0cd.png"]
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([*names, names[0]]) + b"\n\n")
    jobs = batch.list_jobs([tmp_path / "list.txt"], tmp_path / "out")
    assert jobs == [(tmp_path / name, tmp_path / "out" / name) for name in map(os.fsdecode, names)]


def test_an_output_folder_that_holds_the_pictures(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    for output in (photos, tmp_path / "link"):
        with pytest.raises(ValueError, match=r"photo0.png is itself among the pictures .* choose another --output"):
            batch.list_jobs([photos], output)


def test_what_a_machine_lacks_is_named(photos, tmp_path):
    work = Work("denoise")
    assert batch._missing(work, [photos], tmp_path) == ""
    assert batch._missing(work, [photos, tmp_path / "none"], tmp_path) == f"{tmp_path}/none is not there"
    assert batch._missing(work, [photos], tmp_path / "out") == f"{tmp_path}/out is not there, or cannot be written to"
    own = Work("denoise", weights=f"{tmp_path}/none.npz")
    assert batch._missing(own, [photos], tmp_path) == f"{tmp_path}/none.npz: there is no such file"


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_a_machine_whose_backend_sees_no_gpu_is_named(photos, tmp_path):
    assert batch._missing(Work("denoise"), [photos], tmp_path, gpus=0.5).startswith("tensorflow sees no GPU there")


def test_all_processes_share_gpus_and_know_their_threads(monkeypatch):
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_FORCE_GPU_ALLOW_GROWTH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    variables = batch._environment(threads=3)
    assert variables["TF_NUM_INTRAOP_THREADS"] == "3"
    assert variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"  # as this machine's user wants
    assert variables["KERAS_BACKEND"] == "tensorflow"


def test_a_picture_that_is_gone_is_not_tried_again(photos, tmp_path, monkeypatch):
    tried, reported = [], []

    def run(jobs, *arguments, **options):
        tried.append([source.name for source, _ in jobs])
        yield from ((str(target), "OSError: what may pass", True) for source, target in jobs if source.exists())

    monkeypatch.setattr(batch, "_run", run)
    monkeypatch.setattr(batch, "ROUND_PAUSE", 0)
    jobs = [(photos / "photo0.png", tmp_path / "a.png"), (tmp_path / "none.png", tmp_path / "b.png")]
    report = lambda target, error: reported.append((Path(target).name, error))  # noqa: E731
    dead = batch.restore_all(jobs, Work("denoise"), workers=1, report=report)
    assert tried == [["photo0.png", "none.png"], ["photo0.png"], ["photo0.png"]]
    assert dead == {
        str(tmp_path / "a.png"): "OSError: what may pass",
        str(tmp_path / "b.png"): f"FileNotFoundError: {tmp_path}/none.png is not there",
    }
    assert reported == [("b.png", f"FileNotFoundError: {tmp_path}/none.png is not there")]


def test_what_was_restored_by_a_process_that_died_then_is_done(photos, tmp_path, monkeypatch):
    def run(jobs, *arguments, **options):
        (tmp_path / "a.png").touch()
        yield from ()

    reported = []
    monkeypatch.setattr(batch, "_run", run)
    job = (photos / "photo0.png", tmp_path / "a.png")
    assert batch.restore_all([job], Work("denoise"), workers=1, report=lambda *told: reported.append(told)) == {}
    assert reported == [(str(tmp_path / "a.png"), "")]


def test_a_process_that_fails_waits_ever_longer_and_ends(monkeypatch):
    pauses, ends = [], []
    monkeypatch.setattr(batch, "_failures", 0)
    monkeypatch.setattr(batch.time, "sleep", pauses.append)
    monkeypatch.setattr(batch.os, "_exit", ends.append)

    def tried(answer, times, last=False):
        for _ in range(times):
            assert batch._patiently(lambda *arguments: answer, None, "a", "b", 1000, last) == answer
        waited, ended = pauses[:], ends[:]
        pauses.clear(), ends.clear()
        return waited, ended

    assert tried(("", False), 3) == ([], [])
    assert tried(("a damaged picture", False), 20) == ([], [])
    assert tried(("OSError", True), 3) == ([0.2, 0.4, 0.8], [])
    tried(("", False), 1)
    assert tried(("OSError", True), 10) == ([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10], [1])
    assert tried(("OSError", True), 5, last=True) == ([10] * 5, [])  # in the last round words count


def test_a_picture_that_takes_too_long_ends_its_process(monkeypatch):
    ended, codes = threading.Event(), []
    monkeypatch.setattr(batch.os, "_exit", lambda code: (codes.append(code), ended.set()))
    batch._patiently(lambda *arguments: ("", ended.wait(60) and False), None, "a", "b", 0.05, False)
    assert codes == [1]
    ended.clear()
    batch._patiently(lambda *arguments: ("", False), None, "a", "b", 60, False)
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)  # cancelled


def test_an_interrupt_keeps_what_is_known(photos, tmp_path, monkeypatch, capsys):
    def restore_all(jobs, work, *, report, **options):
        assert options["timeout"] == 7
        jobs[0][1].touch()
        report(str(jobs[0][1]), "")
        report(str(jobs[1][1]), "damaged")
        raise KeyboardInterrupt

    nodes = [{"Alive": True, "Resources": {"CPU": 2.0, "memory": 2.0**33}}]
    errors = types.SimpleNamespace(RayError=RuntimeError)
    ray = types.SimpleNamespace(init=dict, nodes=lambda: nodes, shutdown=dict, exceptions=errors)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(batch, "_unfit", lambda *arguments: "")
    monkeypatch.setattr(batch, "restore_all", restore_all)
    assert batch.main(["--timeout", "7", "denoise", str(photos), "-o", str(tmp_path / "out")]) == 130
    printed = capsys.readouterr()
    assert "6 inputs = 1 outputs + 1 dead letters" in printed.out
    assert "ended by KeyboardInterrupt; the same command goes on from here" in printed.err
    assert "photo1.png,damaged" in (tmp_path / "out" / batch.DEAD_LETTERS).read_text()


def test_two_commands_write_dead_letters_one_after_the_other(tmp_path):
    jobs = [(tmp_path / "in" / "a.png", tmp_path / "a.png")]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with weights.locked(tmp_path / f".{batch.DEAD_LETTERS}.lock", wait=True):
            other = pool.submit(batch._reconcile, jobs, {str(jobs[0][1]): "damaged"}, tmp_path, 1.0)
            with pytest.raises(concurrent.futures.TimeoutError):
                other.result(timeout=0.3)
        assert other.result(timeout=30) == 1


def test_tells_how_far_it_is_even_if_nothing_comes(capsys):
    printed, end = "", time.monotonic() + 60
    with batch._counting(5, lambda: 2, seconds=0.02) as count:
        for words in ("0 of 5 pictures, 0.0 a second, 2 machines", "1 of 5 pictures"):
            while words not in printed and time.monotonic() < end:
                time.sleep(0.01)
                printed += capsys.readouterr().out
            assert words in printed
            count()


def test_the_folders_that_machines_look_for(tmp_path):
    """None is there, one is, many are."""
    assert batch._folders([(tmp_path / "none" / "a.png", tmp_path / "out" / "a.png")]) == []
    folders = [tmp_path / f"{i:03}" for i in range(250)]
    for folder in folders:
        folder.mkdir()
    jobs = [(folder / "a.png", tmp_path / "out" / folder.name) for folder in folders]
    assert batch._folders(jobs[:1]) == folders[:1]
    assert 50 < len(batch._folders(jobs)) <= batch.MOST_FOLDERS


def test_weights_that_an_installation_lacks_are_no_fault_of_a_picture(photos, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("There are no pretrained weights")

    monkeypatch.setattr(batch.photos, "RED30", fail)
    error, again = batch.attempt(Work("denoise", orientations=8), photos / "photo0.png", tmp_path / "out.png")
    assert (error, again) == ("RuntimeError: There are no pretrained weights", True)


def test_a_picture_beside_its_folder_counts_once(photos, tmp_path):
    assert len(batch.list_jobs([photos, photos / "photo0.png"], tmp_path / "out")) == 6


def test_a_full_disk_ends_before_the_work_and_is_not_tried_again(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_rednet.photos.restore", lambda *arguments, **options: pytest.fail("has restored"))
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=4096, total=2**40))
    error, again = batch.attempt(Work("denoise"), photos / "photo0.png", tmp_path / "out.png")
    assert "No space left on device" in error
    assert str(tmp_path) in error
    assert not again
    assert not list(tmp_path.iterdir())


def test_a_disk_that_does_not_tell_its_size_is_not_full(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_rednet.photos.restore", lambda model, image, **options: image)
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=0, total=0))
    assert batch.attempt(Work("denoise"), photos / "photo0.png", tmp_path / "out.png") == ("", False)
    assert (tmp_path / "out.png").exists()


def test_names_in_no_encoding_are_dead_letters_too(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    target = tmp_path / name
    assert batch._reconcile([(tmp_path / "in" / name, target)], {str(target): "damaged"}, tmp_path, 1.0) == 1
    assert rf"{tmp_path}/in/caf\udce9.png,damaged" in (tmp_path / batch.DEAD_LETTERS).read_text()


def test_dead_letters_of_another_manifest_stay(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    one, two = ([(tmp_path / name, tmp_path / "out" / name)] for name in (name, "b.png"))
    (tmp_path / "b.png").touch()
    (tmp_path / "out").mkdir()
    for jobs, dead in ((one, [name]), (two, ["b.png"]), (one, [name])):
        batch._reconcile(jobs, {str(tmp_path / "out" / name): "damaged" for name in dead}, tmp_path / "out", 1.0)
    rows = (tmp_path / "out" / batch.DEAD_LETTERS).read_text().splitlines()
    assert rows == ["picture,reason", f"{tmp_path}/b.png,damaged", rf"{tmp_path}/caf\udce9.png,damaged"]
    for mark, encoding in ((",", "utf-8-sig"), (";", "cp1252")):  # as spreadsheets do
        saved = "\n".join(rows).replace("b.png,damaged", "b.png,besch\xe4digt").replace(",", mark)
        (tmp_path / "out" / batch.DEAD_LETTERS).write_text(saved, encoding=encoding)
        batch._reconcile(two, {str(tmp_path / "out" / "b.png"): "damaged"}, tmp_path / "out", 1.0)
        assert (tmp_path / "out" / batch.DEAD_LETTERS).read_text().splitlines() == rows
    (tmp_path / "b.png").unlink()  # and nobody misses it
    batch._reconcile(one, {}, tmp_path / "out", 1.0)
    assert (tmp_path / "out" / batch.DEAD_LETTERS).read_text().splitlines() == ["picture,reason"]


def test_there_are_as_many_processes_as_processors_and_memory_allow():
    gigabytes = 2.0**30
    large, small = ({"Resources": {"CPU": 16.0, "memory": size * gigabytes}} for size in (64, 10))
    large["Resources"]["GPU"] = 2.0
    assert batch._workers([large], 1, 0, batch.MEMORY) == 16
    assert batch._workers([large], 3, 0, batch.MEMORY) == 5
    assert (
        batch._workers([large, small], 1, 0, batch.MEMORY) == 16 + 6
    )  # not what the sum of their memory is enough for
    assert batch._workers([large], 1, 0.5, batch.MEMORY) == 4
    assert batch._workers([large], 1, 0.2, batch.MEMORY) == 10
    assert batch._workers([{"Resources": {"CPU": 2.0}}], 2, 0, 0) == 1


def test_a_machine_must_have_all_that_a_process_takes():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": True, "Resources": {"GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}},
    ]
    assert batch._nodes_with(nodes, CPU=4, GPU=0) == nodes[:1]
    assert batch._nodes_with(nodes, CPU=5, GPU=0) == []
    assert batch._nodes_with(nodes, CPU=1, GPU=0.5) == []


def test_an_address_at_which_nothing_listens_is_told(photos, tmp_path, monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    errors = types.SimpleNamespace(RayError=RuntimeError)
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=pytest.fail, exceptions=errors))
    with pytest.raises(SystemExit):
        batch.main(["--address", address, "denoise", str(photos), "-o", str(tmp_path / "out")])
    assert f"--address {address}: " in capsys.readouterr().err


def test_a_folder_is_no_output(photos, tmp_path, capsys):
    """What a folder that cannot be read would become may be there from an earlier run."""
    (tmp_path / "out" / "sub").mkdir(parents=True)
    assert "a folder that cannot be read" in batch.attempt(Work("denoise"), photos, tmp_path / "out" / "sub")[0]
    assert batch._reconcile([(photos, tmp_path / "out" / "sub")], {}, tmp_path, 1.0) == 2
    printed = capsys.readouterr()
    assert "1 inputs = 0 outputs + 0 dead letters" in printed.out
    assert f"1 are neither, such as {tmp_path}/out/sub: run the same command again" in printed.err


def test_says_what_to_install(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as end:
        batch.main(["denoise", str(photos), "-o", str(tmp_path / "out")])
    assert end.value.code == 2
    assert 'Ray is not installed: pip install "keras_rednet[ray]".' in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--workers", "--threads", "--attempts", "--timeout"])
def test_numbers_above_zero(photos, tmp_path, option, capsys):
    with pytest.raises(SystemExit):
        batch.main([option, "0", "denoise", str(photos), "-o", str(tmp_path / "out")])
    assert f"argument {option}: must be at least 1, received 0" in capsys.readouterr().err
