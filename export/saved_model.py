"""Builds the SavedModels of shipped weights for TF Serving: `python -m export.saved_model --out dist`.

Of each network a folder NAME, in it the version of the weights: `tensorflow_model_server --model_base_path=dist/NAME`.
"""

import argparse
import shutil
from pathlib import Path

from keras_rednet import weights
from keras_rednet.photos import COLORS
from keras_rednet.precision import POLICIES
from keras_rednet.saved_model import export_saved_model
from recipes.evaluate import network


def build(name, out, precision="float32", most_pixels=None):
    """Writes the SavedModel of shipped weights, by name, below `out`, in place of what is there; returns its folder."""
    name = weights.versioned(name)
    base, _, version = name.rpartition("-v")
    folder = out / base / version
    record = weights.record(name)
    color = COLORS.get(record["recipe"]["task"], "channels")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = weights.part_of(folder.parent)  # servers may be reading what is there
    temporary.mkdir()
    try:
        metadata = weights.about(name, record)
        options = {"color": color, "precision": precision, "most_pixels": most_pixels, "metadata": metadata}
        export_saved_model(network(name), temporary / version, **options)
        if folder.exists():
            folder.rename(temporary / "replaced")
        (temporary / version).rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m export.saved_model", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of shipped weights; all without it")
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="FOLDER")
    parser.add_argument(
        "--precision", choices=POLICIES, default="float32", help="bfloat16: for processors that have it"
    )
    parser.add_argument("--most-pixels", type=int, metavar="NUMBER", help="refuse larger pictures; none without it")
    options = parser.parse_args(arguments)
    for name in options.names or sorted(weights.records()):
        print(build(name, options.out, options.precision, options.most_pixels), flush=True)


if __name__ == "__main__":
    main()
