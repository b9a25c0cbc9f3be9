"""Writes a card for each shipped network beside its artefacts: `python -m export.card dist`.

NAME.md says what it does, how it was trained, what it scores (recipes/results), and which files there are, with sizes,
hashes and losses (recipes/results/parity.csv). All of it comes from the record and from files that programs wrote.
"""

import argparse
import json
from pathlib import Path

from export import parity
from keras_rednet import weights
from keras_rednet.weights import written_whole
from recipes import csv_table, tables


def card(name, folder):
    """Returns the card of a shipped network in Markdown.

    Args:
        name: of shipped weights, with the version.
        folder: of the artefacts.
    """
    record = weights.record(name)
    recipe = record["recipe"]
    lines = [
        f"# {name}\n",
        f"RED{recipe['depth']} (Mao, Shen and Yang, arXiv 1606.08921) for {recipe['task'].replace('_', ' ')}, "
        f"level {recipe['level']}, {recipe['channels']} channel{'s' * (recipe['channels'] > 1)} ({recipe['color']}), "
        f"{record['parameters']:,} parameters, down-sampling at {recipe['downsample_at'] or 'no layer'}. "
        "It takes and gives pixels from 0 (black) to 1 (white), int8 files for any size from 0 to 255.\n",
        f"Licence: {record['licence']}.\n",
        "## Training\n",
        f"{len(record['training_images'])} images of BSDS500 and T91, none of a test set; in the last run "
        f"{record['patches']:,} patches of {recipe['patch_size']}x{recipe['patch_size']} pixels, begun "
        f"{_begun(recipe['start_from'])}; "
        f"corruption {recipe['corruption']}; commit {record['commit']}.\n",
        f"Validation{_where(record)}, PSNR in dB: "
        + ", ".join(f"{level} {score:.2f}" for level, score in record["validation_psnr"].items())
        + ".\n",
        "## Results\n",
        "| images | level | shave | orientations | PSNR in dB | SSIM |\n|---|---|---|---|---|---|",
    ]
    for (network, *place), (psnr, ssim) in tables.means(recipe["task"]).items():
        if network == name:
            lines.append(f"| {' | '.join(place)} | {psnr:.2f} | {ssim:.4f} |")
    return "\n".join([*lines, *_files(name, folder)]) + "\n"


def _where(record):
    """Says what was validated on, if the record does."""
    protocol = record.get("validation_protocol")
    side = protocol and protocol["centre_crop"]
    return f" on the middle {side}x{side} pixels of {len(protocol['images'])} images" if protocol else ""


def _begun(start_from):
    """Says where a run began: the weights of earlier runs are not shipped."""
    if not start_from:
        return "afresh"
    runs = f"an earlier run ({start_from}), of which the recipe's docstring tells"
    return f"from {runs if start_from.endswith('.npz') else start_from}"


def _files(name, folder):
    lines = ["\n## Files\n", "| file | bytes | sha256 | loss in dB |\n|---|---|---|---|"]
    losses, rows = {}, csv_table.read(parity.results())
    for row in rows:
        losses.setdefault(row["file_sha256"], []).append(f"{row['level']}: {row['loss']}")
    for path in sorted(folder.glob(f"{name}-*.tflite")):
        described = json.loads(path.with_suffix(".json").read_text())
        loss = ", ".join(losses.get(described["sha256"], ["not scored"]))
        lines.append(f"| {path.name} | {path.stat().st_size:,} | {described['sha256']} | {loss} |")
    base, _, version = name.rpartition("-v")
    if (folder / base / version).is_dir():
        size = sum(path.stat().st_size for path in (folder / base / version).rglob("*") if path.is_file())
        lines.append(f"| {base}/{version}/, the SavedModel | {size:,} | | |")
    for row in rows:
        if row["weights"] == name and row["verdict"] and not (folder / row["file"]).exists():
            lines.append(f"| {row['file']} | | | {row['level']}: {row['loss']}, {row['verdict']} |")
    return lines


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m export.card", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the artefacts")
    options = parser.parse_args(arguments)
    for name in sorted(weights.records()):
        with written_whole(options.folder / f"{name}.md") as path:
            path.write_text(card(name, options.folder))
        print(options.folder / f"{name}.md")


if __name__ == "__main__":
    main()
