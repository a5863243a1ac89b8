"""Backends are found by name, listed with what they lack, and never taken for one another."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from forecasters import registry
from forecasters.registry import RegistryError
from tests.forecasters.support import install_oddities

LIGHT = "import {module}, sys; print([m for m in ('torch', 'pandas', 'pydantic', 'trader') if m in sys.modules])"


def menu() -> dict[str, registry.BackendInfo]:
    return {info.name: info for info in registry.available()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site: Path, name: str, **points: str) -> None:
    install_oddities(site, name=name, points=points)


@pytest.mark.parametrize("module", ["forecasters.registry", "forecasters.worker.client"])
def test_the_trading_process_side_imports_nothing_heavy(module: str) -> None:
    program = LIGHT.format(module=module)
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_the_menu_lists_without_importing_torch() -> None:
    program = "import sys; from forecasters import registry; registry.available(); print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"


def test_the_baseline_is_built_in_and_lacks_nothing() -> None:
    info = menu()["baseline"]
    assert (info.source, info.missing) == ("built in", ())
    assert info.description
    assert registry.build("baseline", {"samples": 32}).name == "baseline"


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(RegistryError, match="did you mean 'baseline'"):
        registry.build("basline", {})


def test_options_are_refused_in_one_line_that_says_what_would_be_right() -> None:
    with pytest.raises(RegistryError, match=r"sampels.*did you mean 'samples'") as raised:
        registry.build("baseline", {"sampels": 3})
    assert "\n" not in raised.value.reason
    with pytest.raises(RegistryError, match="samples: input should be greater"):
        registry.build("baseline", {"samples": 1})
    with pytest.raises(RegistryError, match="levels"):
        registry.build("baseline", {"levels": [0.5, 0.4]})


def test_a_third_party_backend_is_found_with_its_alias_and_source(site: Path) -> None:
    install(site, "oddities_a", steady="oddities_a.steady")
    info = menu()["steady"]
    assert (info.source, info.missing, info.aliases) == ("oddities_a", (), ("steady-small",))
    assert registry.build("steady-small", {}).name == "flat"
    assert registry.resolve("steady-small").fixed == {"bytes": 1}
    with pytest.raises(RegistryError, match="contradicts bytes=2"):
        registry.build("steady-small", {"bytes": 2})


def test_a_backend_that_lacks_something_is_listed_with_it_and_not_built(site: Path) -> None:
    install(site, "oddities_b", lacks_parts="oddities_b.lacks_parts")
    assert menu()["lacks_parts"].missing == ("a checkpoint",)
    with pytest.raises(RegistryError, match="a checkpoint"):
        registry.build("lacks_parts", {})


def test_a_package_that_breaks_on_import_is_listed_and_harms_no_other(site: Path) -> None:
    install(site, "oddities_c", broken="oddities_c.breaks_on_import", gone="oddities_c.not_there")
    assert "broken on purpose" in menu()["broken"].missing[0]
    assert "not_there" in menu()["gone"].missing[0]
    assert registry.build("baseline", {})


def test_something_that_is_no_backend_is_listed_with_what_it_has_not(site: Path) -> None:
    install(site, "oddities_d", hollow="oddities_d")
    assert "has no Options, no requires, no build" in menu()["hollow"].missing[0]


def test_a_name_taken_twice_is_an_error_and_never_an_overwrite(site: Path) -> None:
    install(site, "oddities_e", baseline="oddities_e.steady")
    with pytest.raises(RegistryError, match="'baseline' is taken twice: by built in and by oddities_e"):
        registry.build("baseline", {})
    with pytest.raises(RegistryError, match="taken twice"):
        registry.available()


def test_an_alias_that_is_a_name_elsewhere_is_an_error(site: Path) -> None:
    install(site, "oddities_f", **{"steady": "oddities_f.steady", "steady-small": "oddities_f.hangs"})
    with pytest.raises(RegistryError, match="'steady-small' is taken twice"):
        registry.available()


def wheel(folder: Path, name: str) -> Path:
    """A wheel is a zip of the code and its metadata: made by hand, so that no build tool is needed."""
    install_oddities(folder / "code", name=name, points={"steady": f"{name}.steady"})
    metadata = folder / "code" / f"{name}-1.0.dist-info"
    (metadata / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    files = sorted(file for file in (folder / "code").rglob("*") if file.is_file())
    record = "".join(f"{file.relative_to(folder / 'code')},,\n" for file in files)
    (metadata / "RECORD").write_text(f"{record}{metadata.name}/RECORD,,\n")
    built = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(built, "w") as archive:
        for file in [*files, metadata / "RECORD"]:
            archive.write(file, file.relative_to(folder / "code"))
    return built


def test_a_package_installed_by_pip_adds_its_backend(tmp_path: Path) -> None:
    target = tmp_path / "target"
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-compile"]
    pip = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(target), str(wheel(tmp_path, "oddities_g"))]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if "No module named pip" in installed.stderr:
        pytest.skip("this environment has no pip")
    assert installed.returncode == 0, installed.stderr
    program = "from forecasters import registry; print([i.source for i in registry.available() if i.name == 'steady'])"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert shown.stdout.strip() == "['oddities_g']"
