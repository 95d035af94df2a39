"""Who may import whom (DESIGN 3), and what the wheel puts into the world."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import adapters
from bridge import app
from bridge.config import ConfigError

ROOT = Path(__file__).parent.parent
PURE = (
    "model",
    "sse",
    "live",
    "present",
    "segments",
    "pace",
    "markdown",
    "session",
    "config",
    "joined",
    "linked",
    "sniff",
    "appsettings",
    "addresses",
    "configcheck",
    "configfile",
    "reasoning",
    "rhythm",
    "words",
    "cite",
    "think",
    "reply",
    "events",
    "faults",
)
LOUD = {"asyncio", "aiohttp", "httpx", "telegram", "httpx_aiohttp"}


def imported(path: Path) -> set[str]:
    """Every module that a file imports at run time; what stands under TYPE_CHECKING is only names."""
    names: set[str] = set()
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
            names.add(node.module)
    return names


def test_the_bridge_knows_no_platform() -> None:
    for path in (ROOT / "bridge").rglob("*.py"):
        platforms = {name for name in imported(path) if name.split(".")[0] == "adapters" and name != "adapters"}
        registry = "adapters" in imported(path)
        assert not platforms, f"{path.name} imports {platforms}"
        assert not registry or path.name in ("app.py", "cli.py"), f"{path.name} imports the registry"


def test_an_adapter_knows_the_nouns_and_markdown_only() -> None:
    for path in (ROOT / "adapters").rglob("*.py"):
        package = "adapters." + path.relative_to(ROOT / "adapters").parts[0].removesuffix(".py")
        for name in imported(path):
            top = name.split(".")[0]
            if top == "bridge":
                assert name == "bridge" or name.startswith(("bridge.model", "bridge.markdown")), f"{path}: {name}"
            if top == "adapters":
                assert name.startswith(package) or name == "adapters", f"{path}: {name}"


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_stay_pure(name: str) -> None:
    found = {module.split(".")[0] for module in imported(ROOT / "bridge" / f"{name}.py")}
    assert not found & LOUD


def test_an_sdk_is_loaded_only_when_its_platform_is_configured() -> None:
    loud = ("telegram", "lark_oapi", "adapters.feishu", "adapters.telegram", "adapters.web")
    code = f"import sys, bridge.cli; print([name for name in {loud} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_wheel_holds_two_packages_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"adapters", "bridge"}
    shipped = {name for name in names if name.endswith(".py")}
    written = {str(path.relative_to(ROOT)) for top in ("adapters", "bridge") for path in (ROOT / top).rglob("*.py")}
    assert shipped == written, "every module is shipped"
    assert any(name.endswith("adapters/web/page.html") for name in names)


def test_somebody_elses_adapters_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app.own_adapters()
    monkeypatch.setattr(adapters, "__file__", str(tmp_path / "adapters" / "__init__.py"))
    with pytest.raises(ConfigError, match="environment of its own"):
        app.own_adapters()
    monkeypatch.undo()
    monkeypatch.delattr(adapters, "ADAPTERS")
    with pytest.raises(ConfigError, match="environment of its own"):
        app.own_adapters()
