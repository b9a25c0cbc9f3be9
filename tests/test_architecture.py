"""The dependency direction: a module imports only modules of a lower level, wherever in the file it does so."""

import ast
import subprocess
from pathlib import Path

import pytest

import keras_rednet

ROOT = Path(__file__).parent.parent
LEVELS = {
    "keras_rednet": 0,  # only names, imported when they are first used
    "keras_rednet.bsds500": 0,
    "keras_rednet.color": 0,
    "keras_rednet.exif": 0,
    "keras_rednet.geometry": 0,
    "keras_rednet.metrics": 0,
    "keras_rednet.precision": 0,
    "keras_rednet.resize": 0,
    "keras_rednet.weights": 0,
    "keras_rednet.xmp": 0,
    "keras_rednet.fold": 0,
    "keras_rednet.model": 1,
    "keras_rednet.corruptions.noise": 1,
    "keras_rednet.corruptions.sequence": 1,
    "keras_rednet.corruptions.blur": 2,
    "keras_rednet.corruptions.jpeg": 2,
    "keras_rednet.corruptions.overlay": 2,
    "keras_rednet.corruptions.resample": 2,
    "keras_rednet.corruptions": 3,
    "keras_rednet.dataset": 4,
    "keras_rednet.restoration": 4,
    "keras_rednet.evaluation": 4,
    "keras_rednet.pictures": 5,
    "keras_rednet.saved_model": 4,
    "keras_rednet.tflite": 5,
    "keras_rednet.litert": 6,
    "keras_rednet.quiet": 0,
    "keras_rednet.photos": 7,
    "recipes": 0,
    "recipes.csv_table": 1,
    "recipes.distribute": 5,
    "recipes.leaks": 5,
    "recipes.bound": 5,
    "recipes.eight_bits": 6,
    "recipes.distill": 5,
    "recipes.grow": 5,
    "recipes.recipe": 6,
    "recipes.revive": 5,
    "recipes.deblock": 7,
    "recipes.deblur": 7,
    "recipes.denoise": 7,
    "recipes.inpaint": 7,
    "recipes.super_resolution": 7,
    "recipes.experiments": 8,
    "recipes.contact": 9,
    "recipes.tables": 9,
    "recipes.plan": 10,
    "recipes.ablations": 10,
    "recipes.speed": 11,
    "recipes.study": 12,
    "recipes.train": 8,
    "recipes.evaluate": 10,
    "recipes.before_after": 11,
    "recipes.blend": 11,
    "recipes.harm": 11,
    "recipes.masked": 11,
    "recipes.stored": 11,
    "recipes.demo": 8,
    "recipes.ship": 11,
    "keras_rednet.cli": 13,
    "recipes.batch": 14,
    "export.page": 0,
    "export.litert.restore": 0,  # imports nothing of ours
    "export.serving.client": 0,
    "export.card": 16,
    "export.parity": 15,
    "export.saved_model": 14,
    "export.tflite": 14,
}


# keras_rednet.restore -> keras_rednet.restoration, which the package imports when the name is used
PUBLIC = {f"keras_rednet.{name}": f"keras_rednet.{module}" for name, module in keras_rednet._MODULES.items() if module}


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def files():
    return sorted(path for folder in ("keras_rednet", "recipes", "export") for path in (ROOT / folder).rglob("*.py"))


def imports(path):
    """Returns the modules of ours that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: import by the full name"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                name = PUBLIC.get(name, name)
                found.add(name if name in LEVELS else node.module)
    return {name for name in found if name.split(".")[0] in ("keras_rednet", "recipes", "export")}


@pytest.mark.parametrize("path", files(), ids=module_name)
def test_imports_point_downwards(path):
    name = module_name(path)
    assert name in LEVELS, f"give {name} a level"
    upwards = [imported for imported in imports(path) if LEVELS[imported] >= LEVELS[name]]
    assert not upwards, f"{name} (level {LEVELS[name]}) imports {upwards}"


def test_every_level_has_its_module():
    assert {module_name(path) for path in files()} == set(LEVELS)


def test_the_programs_that_use_artefacts_stand_alone():
    programs = [path for path in (ROOT / "export").rglob("*.py") if path.parent != ROOT / "export"]
    assert programs
    assert not [path for path in programs if imports(path)]


def test_the_fixed_top_level():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    visible = {file.split("/")[0] for file in files if file and not file.startswith(".")}
    listed = {
        "keras_rednet",
        "recipes",
        "export",
        "tests",
        "setup.cfg",
        "README.md",
        "pyproject.toml",
        "Makefile",
        "LICENSE",
    }
    assert visible == listed
