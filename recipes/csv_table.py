"""The CSV files of results: lists of rows, dicts of texts, with a header."""

import csv

from keras_rednet.weights import written_whole


def read(path):
    """Returns the rows of a CSV file, none if it is missing."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path, columns, rows):
    """Writes rows as a CSV file, whole or not at all; columns that a row lacks stay empty."""
    with written_whole(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
