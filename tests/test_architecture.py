"""The rules of the house, held against every import of every module, also those within functions."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by name."""
    paths = sorted((ROOT / package).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules("training") | modules("preprocess")


def imports(module: str) -> Iterator[str]:
    """The names of the modules that this one imports, wherever the statement is."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def of(package: str) -> list[str]:
    found = [module for module in MODULES if f"{module}.".startswith(f"{package}.")]
    assert found, package
    return found


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


DISK_AND_SCREEN = ("pathlib", "os", "shutil", "tempfile", "click", "tqdm", "PIL", "matplotlib", "training.files")
# Who may not know whom.
RULES = [
    ("preprocess", ("tensorflow", "keras", "training")),
    ("training", ("preprocess",)),
    ("training.data", ("training.models", "training.loop", "training.metrics", "training.config")),
    ("training.models", (*DISK_AND_SCREEN, "training.data", "training.loop", "training.metrics", "training.config")),
    ("training.models.networks", ("training.presets", "training.models.losses", "training.models.penalties")),
    ("training.metrics", ("training.loop", "training.models", "training.config")),
    ("training.explore", ("training.loop",)),
    ("training.presets", ("tensorflow", "keras", "click")),
    ("training.schedule", ("tensorflow", "keras", "click")),
    ("preprocess.crop", ("pathlib", "preprocess")),
    ("preprocess.plan", ("pathlib", "preprocess", "click")),
    ("preprocess.tfrecord", ("pathlib", "preprocess")),
]


@pytest.mark.parametrize(("package", "strangers"), RULES, ids=[package for package, _ in RULES])
def test_who_does_not_know_whom(package, strangers):
    known = {(module, name) for module in of(package) for name in imports(module) if is_within(name, strangers)}
    assert not known


def test_every_module_is_imported_or_is_a_command():
    imported = {name for module in MODULES for name in imports(module)}
    families = {"training.models.networks.classic", "training.models.networks.r3gan", "training.models.networks.sngan",
                "training.models.networks.bottleneck", "training.models.networks.wgan_gp"}  # fmt: skip
    commands = {module for module, path in MODULES.items() if '__name__ == "__main__"' in path.read_text()}
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    assert set(MODULES) - imported - commands - packages == families


@pytest.mark.parametrize("package", ["training", "preprocess"])
def test_no_room_knows_itself_through_others(package):
    """A room is a module of the package or a subpackage; their imports make no circle."""

    def room(module: str) -> str:
        return ".".join(module.split(".")[:2])

    graph = {room(module): set() for module in of(package)}
    for module in of(package):
        graph[room(module)] |= {room(name) for name in imports(module) if name in MODULES} - {room(module), package}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert len(order) == len(graph)
