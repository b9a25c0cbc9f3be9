"""Builds the web page in dist/web: `python -m export.page dist`; needs npm.

The page (export/web) restores a photo in the browser. It gets LiteRT.js from npm, and of the folder the files of fixed
size of the fast RED30s for any photo, which `python -m export.tflite` wrote. Serve dist/web by any static web server.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent / "web"
LICENSE = Path(__file__).parent.parent / "LICENSE"
STATIC = ("index.html", "page.js", "style.css", "third_party.txt")
# One for each task and colour, none of one scale or quality only, and one that knows JPEGs if there is such.
NETWORKS = (
    "denoise-jpeg-color",
    "denoise-jpeg-gray",
    "super-resolution-jpeg-color",
    "super-resolution-blind-gray",
    "deblock-blind-color",
    "deblock-blind-gray",
)
FILES = tuple(f"red30-fast-{network}-*" for network in NETWORKS)
RUNTIME = ("litert_wasm_internal", "litert_wasm_compat_internal")  # with and without relaxed SIMD


def build(folder, out):
    """Writes the page into the folder `out`, which is replaced.

    Args:
        folder: of the TFLite files.
        out: folder, for instance dist/web.

    Returns:
        list of dicts: what stands in models.json.

    Raises:
        ValueError: no file of fixed size is there, or two for the same job.
        RuntimeError: npm is missing or fails.
    """
    models = {}
    for path in sorted(path for pattern in FILES for path in Path(folder).glob(f"{pattern}.json")):
        described = json.loads(path.read_text())
        if not described.get("size"):
            continue
        job = tuple(described[key] for key in ("task", "color", "precision"))
        if job in models:
            raise ValueError(
                f"Of {job} the page takes one file. Received: {models[job]['file']} and {path.stem}.tflite."
            )
        models[job] = described | {"file": f"{path.stem}.tflite"}
    if not models:
        raise ValueError(
            f"{folder} must hold TFLite files of fixed size, called {' or '.join(FILES)}; `python -m export.tflite` "
            "writes them."
        )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:  # on the same disk, so that the page can be renamed
        temporary = Path(temporary)
        shutil.copytree(PAGE, temporary / "web", ignore=shutil.ignore_patterns("node_modules"))
        _npm(temporary / "web", "install", "--no-audit", "--no-fund", "--no-save")
        site = temporary / "site"
        for part in ("litert", "models"):
            (site / part).mkdir(parents=True)
        _npm(temporary / "web", "exec", "--", "esbuild", "worker.js", "--bundle", f"--outfile={site / 'worker.js'}")
        for name in STATIC:
            shutil.copy(PAGE / name, site)
        shutil.copy(LICENSE, site / "LICENSE.txt")
        for name in RUNTIME:
            for kind in ("js", "wasm"):
                shutil.copy(temporary / "web/node_modules/@litertjs/core/wasm" / f"{name}.{kind}", site / "litert")
        for model in models.values():
            shutil.copy(Path(folder) / model["file"], site / "models")
        (site / "models" / "models.json").write_text(json.dumps([*models.values()], indent=1) + "\n")
        if out.exists():
            shutil.rmtree(out)
        site.rename(out)
    return [*models.values()]


def _npm(folder, *arguments):
    if shutil.which("npm") is None:
        raise RuntimeError("The web page needs npm, which comes with Node.js; it is not on the PATH.")
    done = subprocess.run(["npm", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"`npm {' '.join(arguments)}` failed:\n{done.stderr}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m export.page", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the TFLite files; the page goes into its folder web")
    options = parser.parse_args(arguments)
    for model in build(options.folder, options.folder / "web"):
        print(f"{options.folder / 'web'}  {model['task']}  {model['color']}  {model['precision']}  {model['file']}")


if __name__ == "__main__":
    main()
