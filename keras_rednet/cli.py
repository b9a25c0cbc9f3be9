"""The command `rednet`: photographs in, restored photographs out.

Only the standard library is imported until a command runs, so that `rednet --help` answers at once.
"""

import argparse
import contextlib
import dataclasses
import os
import sys
import warnings
from pathlib import Path

from keras_rednet.quiet import quiet_libraries, steady_stderr

TASKS = ("denoise", "super_resolution", "deblock", "deblur", "inpaint")
ENGINES = ("keras", "litert")
PRECISIONS = ("float32", "bfloat16")
CALIBRATION, CALIBRATION_CROP = 100, 192  # pictures, and pixels of each side of them
BACKENDS = {"tensorflow": "cpu", "jax": "jax", "torch": "torch"}  # and the extras that bring them
EPILOG = """\
examples:
  rednet denoise photo.jpg -o clean.png                     one photograph
  rednet denoise holiday/ -o cleaned/                       every picture of a folder, subfolders too
  rednet denoise photo.jpg -o clean.png --orientations 8    eight times as slow, slightly better
  rednet upscale small.png -o large.png --scale 3           three times as wide and high
  rednet upscale small.png -o large.png --size 1920x1080    any larger size
  rednet deblock blocky.jpg -o smooth.png                   without JPEG's blocks and ringing
  rednet deblur soft.png -o sharp.png --kernel disk         out of focus; gaussian and motion are the others
  rednet inpaint titled.png -o picture.png --remove text    writing over the picture, or scratches
  rednet evaluate denoise --data set12/                     PSNR and SSIM on clean images of your own
  rednet train RECIPE --data clean/ --out run/              a network of your own, see `rednet train --list`
  rednet export NAME -o models/denoise/1                    a SavedModel for TF Serving
  rednet export NAME -o denoise.tflite --quantize float16   a file for phones
  rednet weights                                            the shipped networks and what they score

Colour, bit depth, alpha, EXIF data, ICC profile and of XMP the captions, keywords, stars and rights are kept (BMP holds
none of the last three); IPTC's older records (IIM) are not. Links to folders are not followed. A broken file is named
and the others are still restored; the exit status is then 1. Nothing is overwritten without --overwrite."""


def main(arguments=None):
    """Runs `rednet` with command-line arguments (those of the process by default) and returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # no word of TensorFlow's on the processor
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be in no encoding
    format_warning, warnings.formatwarning = warnings.formatwarning, lambda message, *_, **__: f"rednet: {message}\n"
    try:
        if arguments[:1] == ["train"]:  # its options are those of recipes/train.py
            from recipes import train

            return train.main(arguments[1:], program="rednet train")
        options = parse(arguments)
        return options.run(options)
    except ModuleNotFoundError as error:
        if error.name is None:  # raised by a package itself
            print(f"rednet: {error}", file=sys.stderr)
            return 2
        name = error.name.partition(".")[0]
        print(f"rednet: {name} is not installed.{_mended(name)}", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        print(f"rednet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rednet: interrupted; what is finished is kept", file=sys.stderr)
        return 130
    finally:
        warnings.formatwarning = format_warning


def _mended(name):
    """Returns what to do about a package that is missing, if it is a backend of Keras."""
    if name not in BACKENDS:
        return ""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != name:
        return f" This command needs it beside the backend of Keras: install keras_rednet[{BACKENDS[name]}]."
    return f" Install keras_rednet[{BACKENDS[name]}], or name the backend of Keras that you have in KERAS_BACKEND."


def parse(arguments):
    """Returns what the arguments of a command say, with `photos` and `output` where it restores pictures."""
    return _parser().parse_args(arguments)


def work(options):
    """Returns the `photos.Work` of a command that restores pictures."""
    from keras_rednet.photos import Work

    return Work(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Work)})


def _parser():
    parser = argparse.ArgumentParser(
        prog="rednet",
        description="Restore photographs with RED-Net.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_restoring(commands, "denoise", "denoise", "remove noise from photographs")
    upscale = _add_restoring(commands, "upscale", "super_resolution", "enlarge pictures with sharp edges")
    size = upscale.add_mutually_exclusive_group(required=True)
    size.add_argument("--scale", type=_scale, metavar="NUMBER", help="how many times as wide and high, 1 to 8")
    size.add_argument("--size", type=_size, metavar="WIDTHxHEIGHT", help="of every picture, whatever its shape")
    _add_restoring(commands, "deblock", "deblock", "remove the blocks and ringing of JPEG")
    deblur = _add_restoring(commands, "deblur", "deblur", "undo a known blur")
    deblur.add_argument(
        "--kernel", dest="level", required=True, choices=("disk", "gaussian", "motion"), help="its kind"
    )
    inpaint = _add_restoring(commands, "inpaint", "inpaint", "remove text or scratches from pictures")
    inpaint.add_argument("--remove", dest="level", required=True, choices=("text", "scratch"), help="what is over them")
    _add_evaluate(commands)
    _add_export(commands)
    commands.add_parser("train", help="train a recipe on folders of clean images")
    listing = commands.add_parser("weights", help="list the shipped networks and what they score")
    listing.set_defaults(run=_weights)
    return parser


def _add_restoring(commands, name, task, description):
    """Adds a command that restores pictures, and returns its parser for what it has of its own."""
    formatter = argparse.RawDescriptionHelpFormatter
    command = commands.add_parser(name, help=description, epilog=EPILOG, formatter_class=formatter)
    command.add_argument("photos", nargs="+", type=_path, metavar="PHOTO", help="a picture, or a folder of pictures")
    command.add_argument(
        "-o",
        "--output",
        required=True,
        type=_text,
        metavar="OUT",
        help="the restored picture; a folder where PHOTO is a folder, there are several, or OUT ends in /",
    )
    there = command.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace pictures that are there already")
    there.add_argument("--resume", action="store_true", help="leave out pictures that are there already")
    command.add_argument(
        "--engine",
        choices=ENGINES,
        default="keras",
        help="litert: upscales, deblocks and inpaints in 8 bits, faster on a processor and a little less exact",
    )
    command.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="bfloat16: faster on processors that have it (AVX-512 BF16), and a little less exact",
    )
    command.add_argument("--orientations", type=int, choices=(1, 8), default=1, help="8: slower, slightly better")
    command.add_argument(
        "--tile", type=_pixels, default="auto", metavar="PIXELS", help="side of a tile; smaller ones need less memory"
    )
    command.add_argument(
        "--weights",
        type=_text,
        metavar="NAME",
        help="another network of `rednet weights`, the weights.npz of a training run, or a .tflite file for any size",
    )
    command.set_defaults(run=_restore, task=task, level="blind", scale=None, size=None)
    return command


def _add_evaluate(commands):
    evaluate = commands.add_parser("evaluate", help="score the shipped networks on clean images of your own")
    evaluate.add_argument("task", choices=TASKS)
    evaluate.add_argument("--data", required=True, type=_text, metavar="FOLDER", help="clean images")
    evaluate.add_argument(
        "--channels", type=int, choices=(1, 3), help="of the network; by default 1, for deblur and inpaint 3"
    )
    evaluate.add_argument("--orientations", type=int, choices=(1, 8), default=1)
    evaluate.set_defaults(run=_evaluate)


def _add_export(commands):
    export = commands.add_parser("export", help="write a network for TF Serving or TFLite")
    export.add_argument("weights", metavar="NAME", help="of `rednet weights`, or the weights.npz of a training run")
    export.add_argument(
        "-o", "--output", required=True, type=_path, metavar="OUT",
        help="a file that ends in .tflite, or a new folder for a SavedModel, whose name is its version: models/red/1",
    )  # fmt: skip
    export.add_argument("--overwrite", action="store_true", help="replace a .tflite file that is there already")
    export.add_argument("--quantize", choices=("float16", "dynamic", "int8"), help="a smaller TFLite file")
    export.add_argument("--size", type=_size, metavar="WIDTHxHEIGHT", help="of a TFLite file's images; any, without it")
    export.add_argument(
        "--calibration", type=_path, metavar="FOLDER",
        help=f"corrupted pictures, for --quantize int8: {CALIBRATION} at most, taken evenly by name, their middles",
    )  # fmt: skip
    export.add_argument("--precision", choices=PRECISIONS, help="in which a SavedModel computes; float32 without it")
    export.add_argument("--most-pixels", type=int, metavar="NUMBER", help="a SavedModel refuses larger pictures")
    export.set_defaults(run=_export)


def _restore(options):
    with quiet_libraries():
        from keras_rednet import photos

    jobs = photos.jobs(options.photos, options.output)
    if options.resume or options.overwrite:
        photos.refuse_in_place(jobs, own=options.overwrite)
    left = [job for job in jobs if not (options.resume and os.path.isfile(job[1]))]
    if len(left) < len(jobs):
        print(f"{len(jobs) - len(left)} of {len(jobs)} pictures are there already", flush=True)
    failures = _restore_files(left, photos.Restorer(work(options)))
    if failures:
        print(f"rednet: {failures} of {len(left)} pictures failed, {len(left) - failures} done", file=sys.stderr)
    return 1 if failures else 0


def _restore_files(jobs, restorer):
    """Restores pictures, shows how far it is, and returns how many failed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    failures = []
    with contextlib.ExitStack() as stack:
        console = Console(file=stack.enter_context(steady_stderr()), stderr=True)
        shared = console.is_terminal and sys.stdout is not None and sys.stdout.isatty()
        options = {"disable": not console.is_terminal, "redirect_stdout": False, "redirect_stderr": False}
        progress = stack.enter_context(Progress(console=console, transient=True, **options))
        bar = progress.add_task("", total=len(jobs))

        def tell(text):  # above the bar
            console.print(text, soft_wrap=True, markup=False, highlight=False, emoji=False)

        def report(source, target, seconds, error):
            if error is not None:
                failures.append(source)
                tell(f"rednet: {_one_line(source, error)}")
            elif shared:
                tell(f"{source} -> {target}  {seconds:.1f} s")
            else:
                print(f"{source} -> {target}  {seconds:.1f} s", flush=True)
            progress.update(bar, description=escape(source.name), advance=1)

        restorer.restore_files(jobs, report)
    return len(failures)


def _text(text):
    if not text:  # a variable of the shell that is not set
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _path(text):
    return Path(_text(text))


def _pixels(text):
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be auto or at least 1, in pixels, received {text}")
    return int(text)


def _scale(text):
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 8:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 8, received {text}")
    return number


def _size(text):
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"must be like 1920x1080, received {text}")
    return int(height), int(width)


def _one_line(source, error):
    message = " ".join(str(error).split()) or type(error).__name__
    return message if str(source) in message else f"{source}: {message}"


def _export(options):
    tflite = options.output.suffix == ".tflite"
    if not tflite and (options.quantize or options.size or options.calibration):
        raise ValueError(f"--quantize, --size and --calibration are for .tflite files. Received: -o {options.output}.")
    if not tflite and options.overwrite:
        raise ValueError(f"--overwrite is for .tflite files: name a new version. Received: -o {options.output}.")
    if tflite and (options.most_pixels is not None or options.precision):
        raise ValueError(f"--most-pixels and --precision are for SavedModels. Received: -o {options.output}.")
    written = (options.output, options.output.with_suffix(".json")) if tflite else ()
    if options.calibration and options.quantize != "int8":
        raise ValueError(f"--calibration is for --quantize int8. Received: --quantize {options.quantize}.")
    there = next((path for path in written if path.exists()), None)
    if there and not options.overwrite and not options.output.with_suffix(".npz").exists():  # which is never replaced
        raise ValueError(f"{there} is there already: add --overwrite to replace it.")
    with quiet_libraries():
        _write_export(options, tflite)
    print(f"{options.weights} -> {options.output}")
    return 0


def _write_export(options, tflite):
    from keras_rednet import photos
    from keras_rednet.weights import about, versioned

    network, record = photos.named_network(options.weights)
    recipe = record["recipe"]
    metadata = about(options.weights if options.weights.endswith(".npz") else versioned(options.weights), record)
    if not tflite:
        from keras_rednet.saved_model import export_saved_model

        color = photos.COLORS.get(recipe["task"], "channels")
        how = {"precision": options.precision or "float32", "most_pixels": options.most_pixels}
        export_saved_model(network, options.output, color=color, metadata=metadata, **how)
    else:
        from keras_rednet.model import halo, size_multiple
        from keras_rednet.tflite import QUANTIZE, export_tflite, stands

        multiple, reach = size_multiple(network), 2 * halo(network)
        if options.size and any(side % multiple for side in options.size):
            size = "x".join(map(str, options.size[::-1]))
            raise ValueError(f"--size must be WIDTHxHEIGHT, multiples of {multiple} pixels. Received: --size {size}.")
        if not stands(recipe["task"], options.quantize):
            others = " or ".join(kind for kind in QUANTIZE if kind and stands(recipe["task"], kind))
            raise ValueError(
                f"Where detail is sharp, such 8 bits are too few for a network to {recipe['task']}: use --quantize "
                f"{others}, or none. Received: --quantize {options.quantize}."
            )
        export_tflite(
            network,
            options.output,
            quantize=options.quantize,
            size=options.size,
            calibration=_calibration(options.calibration, network, recipe) if options.quantize == "int8" else None,
            metadata=metadata,
        )
        _warn_of_loss(metadata["weights"], options)
        if options.size and min(options.size) <= reach:
            print(
                f"rednet: restores no picture larger than that: for tiles of one, sides must be above {reach} pixels",
                file=sys.stderr,
            )


def _warn_of_loss(name, options):
    """Says where such a file of shipped weights lost more than is released (export/parity.py)."""
    from recipes import csv_table, tables

    for row in csv_table.read(tables.RESULTS / "parity.csv"):
        of_fixed_size = row["file"] != f"{name}-{options.quantize}.tflite"
        same = (row["weights"], row["precision"], of_fixed_size) == (name, options.quantize, options.size is not None)
        if same and row["verdict"]:
            lost = f"{float(row['loss']):.2f} dB of {row['images']} at {row['level']}"
            print(f"rednet: in {options.quantize} {name} lost {lost}, more than is released", file=sys.stderr)


def _calibration(folder, network, recipe):
    """Returns the pictures of a folder as the network takes them, their centres."""
    if folder is None:
        raise ValueError("--quantize int8 needs --calibration FOLDER, with some dozens of corrupted pictures.")
    from keras_rednet import dataset
    from keras_rednet.model import size_multiple
    from keras_rednet.tflite import with_drawings

    paths = dataset.list_images(folder)
    count = min(len(paths), CALIBRATION)
    paths = [paths[i * len(paths) // count] for i in range(count)]
    paths = dataset.usable(paths, patch_size=size_multiple(network))
    gray = recipe["color"] == "gray"  # restores each of R, G and B, and their mean has less noise
    samples = []
    for i, path in enumerate(paths):
        image = dataset.read_image(path, color="rgb" if gray else recipe["color"])
        image = image[..., [i % 3]] if gray else image
        samples.append(dataset.middle(image, CALIBRATION_CROP) / 255)
    return with_drawings(samples, recipe["task"])


def _evaluate(options):
    with quiet_libraries():
        from recipes import evaluate

    evaluate.print_scores(options.task, options.data, channels=options.channels, orientations=options.orientations)
    return 0


def _weights(options):
    from keras_rednet.weights import records

    for name, record in sorted(records().items()):
        scores = ", ".join(f"{key} {value:.2f} dB" for key, value in record["validation_psnr"].items())
        print(f"{name}  {record['parameters']:,} parameters, validation {scores}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
