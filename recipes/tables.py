"""The result tables in Markdown, made from the CSV files only: the READMEs', and a summary beside the paper."""

from pathlib import Path

from keras_rednet import weights
from keras_rednet.evaluation import mean
from keras_rednet.photos import taken_level
from keras_rednet.weights import written_whole
from recipes import csv_table
from recipes.experiments import EXPERIMENTS, IN_PAPER

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
NAMES = {
    "denoise": ("Denoising", "sigma {}"),
    "super_resolution": ("Super-resolution", "scale {}"),
    "deblock": ("JPEG deblocking", "quality {}"),
    "deblur": ("Deblurring", "{}"),
    "inpaint": ("Inpainting", "{}"),
}


def summary(tasks):
    """Returns a table with a row per image set, level and network: input, ours, the paper's RED30, others.

    A difference to the paper's stands where ours is a RED30 and scored as the paper's were: whole, 8 orientations.
    Others leave out a border as wide as the scale, so they stand beside ours where it is left out, too.
    """
    lines = [
        "| task | images | level | shave | network | input | ours | paper | difference | others |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for experiment in EXPERIMENTS:
        if experiment.task in tasks:
            scores = means(experiment.task)
            for images in experiment.sets:
                for protocol in experiment.protocols:
                    as_others = protocol.shave or len(experiment.protocols) == 1
                    lines += _summary_rows(scores, experiment, images, str(protocol.shave), as_others)
    return "\n".join(lines)


def _summary_rows(scores, experiment, images, shave, as_others):
    scores = {
        (name, orientations): score
        for (name, *place, orientations), score in scores.items()
        if tuple(place) == (images, experiment.level, shave)
    }
    start = f"| {experiment.task} | {images} | {experiment.level} | {shave} "
    before = scores.pop(("input", "1"), None)
    before = f"{before[0]:.2f}" if before else "not scored"
    others = ", ".join(
        f"{row['method']} {row['psnr']}"
        for row in _published("anchors.csv", experiment, images)
        if row["method"] != "input" and as_others
    )
    if not scores:
        published = _paper(experiment, images, blind=False) or _paper_elsewhere(experiment, images, blind=False)
        return [f"{start}| no weights yet | {before} | | {published} | | {others} |"]
    lines = []
    for (name, orientations), (psnr, _) in sorted(scores.items()):
        blind = "-blind-" in name
        paper = _paper(experiment, images, blind)
        comparable = paper and name.startswith("red30-") and (shave, orientations) == ("0", "8")
        difference = f"{psnr - paper:+.2f}" if comparable else ""
        network = name + (", 8 orientations" if orientations == "8" else "")
        published = paper or _paper_elsewhere(experiment, images, blind)
        lines.append(f"{start}| {network} | {before} | {psnr:.2f} | {published} | {difference} | {others} |")
    return lines


def _paper(experiment, images, blind):
    rows = {row["method"]: float(row["psnr"]) for row in _published("paper_tables.csv", experiment, images)}
    return (rows.get("RED30 blind") if blind else None) or rows.get("RED30")


def _paper_elsewhere(experiment, images, blind):
    """Returns what the paper's RED30 reached on images that are not known, but are of the same kind."""
    paper = _paper(experiment, IN_PAPER.get(images, "images of the paper"), blind)
    return f"{paper:.2f} (other images)" if paper else ""


def _published(file, experiment, images):
    wanted = (experiment.task, images, experiment.level)
    return [row for row in csv_table.read(FOLDER / file) if (row["task"], row["images"], row["level"]) == wanted]


def tables():
    """Returns the tables of all results: one per task and image set for which there are weights."""
    places = dict.fromkeys((run.task, images) for run in EXPERIMENTS for images in run.sets)
    return "\n".join(filter(None, (_table(task, images) for task, images in places)))


def _table(task, images):
    runs = [run for run in EXPERIMENTS if run.task == task and images in run.sets]
    levels = [run.level for run in runs]
    scores = {key: score for key, score in means(task).items() if key[1] == images}
    if all(name == "input" for name, *_ in scores):
        return ""
    title, level_title = NAMES[task]
    count = len({row["image"] for row in csv_table.read(RESULTS / f"{task}.csv") if row["images"] == images})
    color = runs[0].protocols[0].color
    lines = [
        f"{title}, {images}, {count} images, {color}, PSNR in dB / SSIM:\n",
        "| | " + " | ".join(level_title.format(level) for level in levels) + " |",
        "|---|" + "---|" * len(levels),
    ]
    shaves = len(runs[0].protocols)
    for number in range(shaves):
        shave = {run.level: str(run.protocols[number].shave) for run in runs}
        note = "" if shaves == 1 else (", whole", ", without a border as wide as the scale")[number]
        networks = {(name, orientations) for name, _, level, cut, orientations in scores if cut == shave[level]}
        for name, orientations in sorted(networks, key=lambda network: (network[0] != "input", network)):
            label = "input" if name == "input" else f"**{name}**"
            label += (", 8 orientations" if orientations == "8" else "") + note
            cells = {level: scores.get((name, images, level, shave[level], orientations)) for level in levels}
            lines.append(_line(label, cells, levels))
    return "\n".join([*lines, *_published_lines(task, images, levels)]) + "\n"


def _published_lines(task, images, levels):
    rows = [
        {**row, "method": f"{row['method']} ({_note(row)})"}
        for row in csv_table.read(FOLDER / "paper_tables.csv")
        if (row["task"], row["images"]) == (task, IN_PAPER.get(images, images))
    ]
    rows += [
        {**row, "method": f"{row['method']} ({row['source']})"}
        for row in csv_table.read(FOLDER / "anchors.csv")
        if (row["task"], row["images"]) == (task, images) and row["method"] != "input"
    ]
    rows = [row for row in rows if row["level"] in levels]
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = {row["level"]: (row["psnr"], row["ssim"]) for row in rows if row["method"] == method}
        lines.append(_line(method, cells, levels))
    return lines


def _note(row):
    """Returns how the paper came to a number of its tables."""
    orientations = ", 8 orientations" if row["method"].startswith("RED") else ""
    return "paper" + orientations + (", 14 images" if row["images"] == "14 images" else "")


def _line(label, cells, levels):
    return f"| {label} | " + " | ".join(_cell(cells.get(level)) for level in levels) + " |"


def _cell(scores):
    if not scores:
        return ""
    psnr, ssim = scores
    return f"{float(psnr):.2f}" + (f" / {float(ssim):.4f}" if ssim else "")


def glance():
    """Returns a short table of the fast RED30s: every level on one image set, of those that the paper scores if any.

    Of each level it shows the network of just that one, or the blind one where that is better by validation.
    """
    lines = [
        "| PSNR in dB | images | damaged | restored | RED30 of the paper, 8 orientations |",
        "|---|---|---|---|---|",
    ]
    of_task = {task: means(task) for task in NAMES}
    for experiment in sorted(EXPERIMENTS, key=lambda run: (list(NAMES).index(run.task), run.channels)):
        papers = (images for images in experiment.sets if _paper(experiment, images, blind=False))
        images, protocol = next(papers, experiment.sets[0]), experiment.protocols[0]
        place = (images, experiment.level, str(protocol.shave), "1")
        scores = {name: psnr for (name, *where), (psnr, _) in of_task[experiment.task].items() if tuple(where) == place}
        made_for = {"task": experiment.task, "channels": experiment.channels}
        try:
            network = weights.find(
                depth=30,
                filters=64,
                downsample_at=(1,),
                level=taken_level(level=experiment.network_level, **made_for),
                **made_for,
            )
        except ValueError:  # there is none yet
            continue
        if network in scores:
            title, level = NAMES[experiment.task]
            what = f"{title}, {level.format(experiment.level)}, {protocol.color}"
            paper = _paper(experiment, images, "-blind-" in network)
            paper = f"{paper:.2f}" if paper else _paper_elsewhere(experiment, images, "-blind-" in network)
            lines.append(f"| {what} | {images} | {scores['input']:.2f} | **{scores[network]:.2f}** | {paper} |")
    return "\n".join(lines) + "\n"


def means(task):
    """Returns {(weights, images, level, shave, orientations): (mean PSNR, mean SSIM)} of a task's results."""
    groups = {}
    for row in csv_table.read(RESULTS / f"{task}.csv"):
        key = tuple(row[name] for name in ("weights", "images", "level", "shave", "orientations"))
        groups.setdefault(key, []).append((float(row["psnr"]), float(row["ssim"])))
    return {key: tuple(map(mean, zip(*scores, strict=True))) for key, scores in groups.items()}


def write_readme():
    """Replaces the README's short table with `glance()`, and those of recipes/results/README.md with `tables()`."""
    write_section("at a glance", "recipes.evaluate", glance())
    write_section("results", "recipes.evaluate", tables(), readme=RESULTS / "README.md")


def write_section(name, program, text, readme=FOLDER.parent / "README.md"):
    """Replaces what stands between two marks of a README that name a program."""
    begin, end = f"<!-- {name}: written by `python -m {program}` -->\n", f"<!-- end of {name} -->"
    before, rest = readme.read_text().split(begin)
    with written_whole(readme) as temporary:
        temporary.write_text(before + begin + "\n" + text + "\n" + end + rest.split(end)[1])
