"""How a person is told to get a part of the program that is not installed."""

from __future__ import annotations

from pathlib import Path

from forecasters.options import missing_packages
from settings.extras import to_install


def test_in_the_environment_of_the_makefile_it_is_make_and_elsewhere_pip(tmp_path: Path) -> None:
    (tmp_path / "Makefile").touch()
    assert to_install("models", checkout=tmp_path, environment=tmp_path / ".venv") == "make models"
    assert to_install("models", checkout=tmp_path, environment=tmp_path / "env") == "pip install 'trader[models]'"
    (tmp_path / "Makefile").unlink()
    assert to_install("models", checkout=tmp_path, environment=tmp_path / ".venv") == "pip install 'trader[models]'"


def test_packages_that_are_missing_are_named_once_with_what_installs_them() -> None:
    right = to_install("models")
    assert missing_packages(["numpy", "nonesuch"]) == [f"nonesuch is not installed; right: {right}"]
    assert missing_packages(["none_a", "none_b", "none_c"]) == [
        f"none_a, none_b and none_c are not installed; right: {right}"
    ]
    assert missing_packages(["numpy"]) == []
