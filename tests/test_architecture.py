"""The house rules that a machine can check: who imports whom, what is public, file sizes."""

import ast
import contextlib
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = {"channels", "witt", "benchmarks", "cli"}
# Arrows point one way: cli → benchmarks → witt → channels.
MAY_IMPORT = {
    "channels": set(),
    "witt": {"channels"},
    "benchmarks": {"channels", "witt"},
    "cli": {"channels", "witt", "benchmarks"},
}


# Inside a package: a folder or file may import those above it in this list, and its own.
LAYERS = {
    "witt": (
        {"errors"},
        {"registry", "report", "files", "lock", "device", "memory"},
        {"waiting"},
        {"pictures", "metrics", "nn", "radio"},
        {"header", "store"},
        {"side_code", "fading_loss", "regions"},
        {"header_bits"},
        {"side_information"},
        {"encoded"},
        {"contract"},
        {"codecs"},
        {"link"},
        {"training"},
        {"__init__"},
        {"commands"},
    ),
    "benchmarks": (
        {"labels", "codecs", "ldpc", "cost", "__init__"},
        {"schemes"},
        {"sweep"},
        {"referee"},
        {"figures"},
        {"report", "demo", "ablation", "analysis"},
        {
            "commands",
            "mismatch",
            "impairments",
            "speed",
            "synchronisation",
            "calibration",
        },
        {"semantic"},
        {"semantic"},
    ),
}


def files_of(package: str) -> list[Path]:
    folder = sorted((ROOT / package).rglob("*.py"))
    return folder or sorted(ROOT.glob(f"{package}.py"))


FILES = [(package, path) for package in sorted(HOUSE) for path in files_of(package)]
every_file = pytest.mark.parametrize(
    ("package", "path"), FILES, ids=[str(path.relative_to(ROOT)) for _, path in FILES]
)


def imports(path: Path) -> Iterator[tuple[str, ast.Import | ast.ImportFrom]]:
    """Every imported module, wherever in the file, by its full name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module or "", node


def test_the_packages_are_found() -> None:
    """The tests below look at nothing if these move."""
    found = {package for package, _ in FILES}
    assert {"channels", "witt"} <= found
    assert ROOT / "witt" / "contract.py" in {path for _, path in FILES}


@every_file
def test_arrows_point_one_way(package: str, path: Path) -> None:
    roots = {name.split(".")[0] for name, _ in imports(path)}
    assert roots & HOUSE <= MAY_IMPORT[package] | {package}


def part(name: str) -> tuple[str, str]:
    """The package of a module, and its folder or file in there."""
    package, _, rest = name.partition(".")
    return package, rest.split(".")[0] or "__init__"


def modules_imported(path: Path) -> set[str]:
    """Full names of the modules of the house that a file imports, wherever in it."""
    found = set()
    for name, node in imports(path):
        if name.split(".")[0] in LAYERS:
            members = (
                [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            )
            inside = [f"{name}.{member}" for member in members]
            found |= {each for each in inside if each in MODULES} or {name}
    return found


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in LAYERS
    for path in files_of(package)
}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_folders_import_one_way(name: str) -> None:
    package, own = part(name)
    layer = {each: level for level, parts in enumerate(LAYERS[package]) for each in parts}
    assert own in layer, f"{name}: which layer is {own} in?"
    for other in modules_imported(MODULES[name]):
        package_of, folder = part(other)
        if package_of == package and folder != own:
            assert layer[folder] < layer[own], f"{name} imports {other}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: modules_imported(path) & set(MODULES) - {name} for name, path in MODULES.items()}
    with contextlib.suppress(StopIteration):
        while graph:  # take away what imports nothing that is left
            name = next(name for name, others in graph.items() if not others & set(graph))
            del graph[name]
    assert not graph, f"in a circle, or above one: {sorted(graph)}"


@every_file
def test_no_star_imports(package: str, path: Path) -> None:
    for _, node in imports(path):
        assert "*" not in {alias.name for alias in node.names}, f"line {node.lineno}"


@every_file
def test_files_stay_short(package: str, path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400


@every_file
def test_modules_say_what_they_are_for(package: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree)


@every_file
def test_input_is_not_validated_by_assert(package: str, path: Path) -> None:
    """`python -O` would drop it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)]


def test_channels_need_torch_only() -> None:
    """And scipy (with its numpy) for the closed forms, Sionna for its clustered delay lines."""
    closed_forms = {"scipy", "numpy"}
    for path in files_of("channels"):
        roots = {name.split(".")[0] for name, _ in imports(path)} - sys.stdlib_module_names
        beside = {"theory.py": closed_forms, "cdl.py": {"sionna"}}
        allowed = {"torch", "channels"} | beside.get(path.name, set())
        assert roots <= allowed, path.name


@pytest.mark.parametrize("package", ["channels", "witt"])
def test_public_names(package: str) -> None:
    """Importable and documented; and what the package imports from itself is public."""
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type | ModuleType) or inspect.isroutine(value):
            # NamedTuples and dataclasses without one are given "Name(fields)".
            assert value.__doc__, name
            assert not value.__doc__.startswith(f"{name}("), name
    offered = {
        alias.asname or alias.name
        for node in ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert offered == set(module.__all__)


@pytest.mark.skipif(not files_of("cli"), reason="the command line is not there")
def test_command_line_loads_lazily() -> None:
    """`witt --help` must not wait for torch: importing cli imports no package that does work."""
    heavy = ("torch", "timm", "numpy", "matplotlib", "witt", "channels", "benchmarks")
    code = f"import sys, cli; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
