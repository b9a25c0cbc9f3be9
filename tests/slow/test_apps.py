"""The Kotlin and the Swift program to copy, compiled with stand-ins for their platforms: tiles give the whole picture.

Needs `kotlinc` and `java`, or `swiftc`, each of which is skipped by name where it is missing.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
EXPORT = HERE.parent.parent / "export"

pytestmark = pytest.mark.slow


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def check(lines):
    """Of the luminance a float more or less decides how a value is rounded."""
    assert [line for line in lines if int(line.split()[-1]) > line.startswith("luminance")] == []


def test_the_kotlin_class_restores_tiles_as_the_whole(tmp_path):
    for tool in ("kotlinc", "java"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing")
    source = [EXPORT / "android" / "Rednet.kt", *sorted((HERE / "android").glob("*.kt"))]
    run("kotlinc", *source, "-include-runtime", "-d", "app.jar", cwd=tmp_path)
    lines = run("java", "-jar", "app.jar", cwd=tmp_path)
    check(lines[:20])
    assert lines[20:] == [
        "0 of 4, 1 of 4, 2 of 4, 3 of 4, ",
        "ended before tile 2",
        "This Rednet is closed.",
        "The photo must be at least 96x64 pixels. Received: 95x64.",
        "Tiles of this network must be larger than 64 pixels. Received: a file for 96x64.",
        "network.tflite is for any size, which LiteRT does not compile: export it with --size 512x512.",
        "The .json is not that of network.tflite: take both from one export.",
        "A restored tile holds NaN: half precision overflowed. Use Accelerator.CPU.",
    ]


def test_the_swift_class_restores_tiles_as_the_whole(tmp_path):
    if shutil.which("swiftc") is None:
        pytest.skip("swiftc is missing")
    stand_ins = ("TensorFlowLite", "CoreGraphics", "CryptoKit")
    for name in stand_ins:
        options = ["-parse-as-library", "-emit-module", "-emit-library", "-module-name", name, "-o", f"lib{name}.so"]
        run("swiftc", "-O", *options, HERE / "ios" / f"{name}.swift", cwd=tmp_path)
    source = [HERE / "ios" / "main.swift", EXPORT / "ios" / "Rednet.swift"]
    libraries = ["-I.", "-L.", *(f"-l{name}" for name in stand_ins), "-Xlinker", "-rpath", "-Xlinker", tmp_path]
    run("swiftc", "-O", *source, *libraries, "-o", "app", cwd=tmp_path)
    lines = run(tmp_path / "app", cwd=tmp_path)
    check(lines[:35])
    assert lines[35:] == [
        "0 of 4, 1 of 4, 2 of 4, 3 of 4",
        "ended",
        "unfit(side: 64, halo: 32, multiple: 1)",
        "unfit(side: 66, halo: 4, multiple: 4)",
        "notANumber",
        "anotherFile",
    ]
