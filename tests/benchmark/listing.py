"""Measures what `recipes.batch` keeps of each picture: `python tests/benchmark/listing.py --out runs/listing`.

Lists a manifest, as the machine does that starts a batch, and writes listing.csv.
"""

import argparse
import csv
import tempfile
from pathlib import Path

from recipes import batch

PICTURES = 200_000


def memory():
    """Returns the bytes of memory that this process holds, on Linux."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return 1024 * int(line.split()[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/listing"), metavar="FOLDER")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        manifest = Path(place) / "list.txt"
        manifest.write_text("\n".join(f"holiday/{i // 1000:04}/IMG_{i:08}.jpg" for i in range(PICTURES)))
        before = memory()
        jobs = batch.list_jobs([manifest], Path(place) / "out")
        each = (memory() - before) / len(jobs)
    with (options.out / "listing.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("pictures", "bytes of each"), (PICTURES, f"{each:.0f}")])
    print(f"{each:.0f} bytes of each of {PICTURES} pictures")


if __name__ == "__main__":
    main()
