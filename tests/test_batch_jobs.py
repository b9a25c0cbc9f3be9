"""What recipes/batch.py does before and without Ray."""

import os
import sys
from pathlib import Path

import pytest

from keras_rednet.photos import Work
from recipes import batch


def test_a_manifest_of_another_folder(photos, tmp_path, monkeypatch):
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
    ],
)
def test_what_is_wrong_is_told_before_ray_starts(photos, tmp_path, options, words, capsys):
    options = [option.format(photos=photos) for option in options]
    with pytest.raises(SystemExit) as end:
        batch.main(["denoise", *options, "-o", str(tmp_path / "out")])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_a_process_without_the_weights_says_so(photos, tmp_path):
    work = Work(task="denoise", weights=os.path.join(tmp_path, "none.npz"))
    assert "none.npz" in batch.attempt(work, photos / "photo0.png", tmp_path / "out.png")


def test_names_in_no_encoding_are_dead_letters_too(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    assert batch._reconcile([(tmp_path / name, tmp_path / "out" / name)], {name: "damaged"}, tmp_path / "out", 1.0) == 1
    assert r"caf\udce9.png,damaged" in (tmp_path / "out" / batch.DEAD_LETTERS).read_text()


def test_dead_letters_of_another_manifest_stay(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    one, two = ([(tmp_path / name, tmp_path / "out" / name)] for name in (name, "b.png"))
    for jobs, dead in ((one, {name: "damaged"}), (two, {str(tmp_path / "b.png"): "damaged"}), (two, {})):
        dead = {str(tmp_path / source): reason for source, reason in dead.items()}
        batch._reconcile(jobs, dead, tmp_path / "out", 1.0)
    rows = (tmp_path / "out" / batch.DEAD_LETTERS).read_text().splitlines()
    assert rows == ["picture,reason", rf"{tmp_path}/caf\udce9.png,damaged"]
    batch._reconcile(one, {}, tmp_path / "out", 1.0)
    assert (tmp_path / "out" / batch.DEAD_LETTERS).read_text().splitlines() == ["picture,reason"]


def test_a_machine_must_have_all_that_a_process_takes():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": True, "Resources": {"GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}},
    ]
    assert batch._some_machine_has(nodes, CPU=4, GPU=0)
    assert not batch._some_machine_has(nodes, CPU=5, GPU=0)
    assert not batch._some_machine_has(nodes, CPU=1, GPU=0.5)


def test_a_folder_is_no_output(photos, tmp_path, capsys):
    """What a folder that cannot be read would become may be there from an earlier run."""
    (tmp_path / "out" / "sub").mkdir(parents=True)
    assert "a folder that cannot be read" in batch.attempt(Work("denoise"), photos, tmp_path / "out" / "sub")
    assert batch._reconcile([(photos, tmp_path / "out" / "sub")], {}, tmp_path, 1.0) == 2
    assert "1 inputs = 0 outputs + 0 dead letters" in capsys.readouterr().out


def test_says_what_to_install(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as end:
        batch.main(["denoise", str(photos), "-o", str(tmp_path / "out")])
    assert end.value.code == 2
    assert 'Ray is not installed: pip install "keras_rednet[ray]".' in capsys.readouterr().err
