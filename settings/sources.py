"""Where settings come from. Each source turns names into the nested form of the schema and remembers their origin."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from settings import envfile
from settings.errors import SettingsError
from settings.names import canonical, complaint, free_path, table
from settings.schema import STRATEGIES
from settings.trust import distrust

_FLAG_SPELLINGS = {"SIM__BARS": "data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the sources read from."""

    flags: Mapping[str, object] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    strategies: Collection[str] = STRATEGIES
    only: Collection[str] = ()  # names that are read, whatever is wrong with others; empty is all


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value as it was given, and where."""

    value: object = field(repr=False)
    origin: str
    file: Path | None = None


class Source(PydanticBaseSettingsSource):
    """A source of settings by name. `given` is keyed by canonical name, `problems` are the names that are none."""

    def __init__(self, settings_class: type[BaseSettings], inputs: Inputs) -> None:
        super().__init__(settings_class)
        self.inputs = inputs
        self.given: dict[str, Given] = {}
        self.problems: list[str] = []
        self._spelt: dict[str, str] = {}
        self.read()

    @abstractmethod
    def read(self) -> None:
        """Offer everything that is there."""

    def offer(self, name: str, value: object, origin: str, *, file: Path | None = None) -> None:
        """Take a setting, note a misspelt one, leave other programs' names alone."""
        full_name = canonical(name) or (name if free_path(name, self.inputs.strategies) else None)
        if self.inputs.only and full_name not in self.inputs.only:
            return
        if full_name is None:
            text = complaint(name, in_file=file is not None, strategies=self.inputs.strategies)
            if text:
                self.problems.append(f"{origin}: {text}")
            return
        if full_name in self.given:
            first_spelling = self._spelt[full_name]
            twice = (
                f"{full_name} is given twice"
                if first_spelling == name
                else f"{name} and {first_spelling} are the same setting"
            )
            self.problems.append(f"{origin}: {twice} ({self.given[full_name].origin}); right: only one of them")
            return
        self.given[full_name] = Given(value=value, origin=origin, file=file)
        self._spelt[full_name] = name

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Part of pydantic-settings' interface; everything happens in `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for name, given in self.given.items():
            entry = table().get(name)
            free = free_path(name, self.inputs.strategies)
            path = (entry.group, entry.field) if entry else free
            assert path is not None
            place = tree
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = given.value
        return tree


class Flags(Source):
    """The command line. A flag that was not given is None or an empty tuple. Keys are refused: `ps` shows them."""

    def read(self) -> None:
        for flag, value in self.inputs.flags.items():
            name = canonical(flag) or canonical(flag.upper())
            if name is None:
                raise SettingsError([f"flag {flag}: is not a setting; right: the name of one, in small letters"])
            if value is None or value == ():
                continue
            spelling = _FLAG_SPELLINGS.get(name, name.lower().rpartition("__")[2].removeprefix("trading_"))
            origin = f"flag --{spelling.replace('_', '-')}"
            if table()[name].secret:
                self.problems.append(
                    f"{origin}: {name} must not be given on a command line, which every user can read; "
                    "right: the environment or a systemd credential"
                )
            else:
                self.offer(name, value, origin)


class Environment(Source):
    """The process environment, which is also where systemd's EnvironmentFile ends up."""

    def read(self) -> None:
        for name, value in self.inputs.environ.items():
            self.offer(name, value, "environment")


class Credentials(Source):
    """systemd's LoadCredential: one file a setting, named like it in small letters, its content the value."""

    def read(self) -> None:
        folder = self.inputs.environ.get("CREDENTIALS_DIRECTORY")
        if not folder or not os.path.isdir(folder):
            return
        try:
            paths = sorted(Path(folder).iterdir())
        except OSError as error:
            raise SettingsError([f"CREDENTIALS_DIRECTORY={folder}: {error.strerror}; right: readable here"]) from None
        for path in paths:
            if why := distrust(path):
                raise SettingsError([f"credential {path.name}: {why}"])
            try:
                value = path.read_text(encoding="utf-8").strip("\r\n") if canonical(path.name.upper()) else ""
            except (OSError, UnicodeDecodeError):
                raise SettingsError([f"{path}: cannot be read; right: a credential of one line of text"]) from None
            self.offer(path.name.upper(), value, f"credential {path.name}", file=path)


class File(Source):
    """A NAME=VALUE file in the folder where the daemon starts, which nobody else may have written. Other programs'
    names in it are left alone."""

    name = ""

    def read(self) -> None:
        path = (self.inputs.folder / self.name).absolute()
        if not os.path.lexists(path):  # anybody's folder will do to start in, as long as nothing in it is read
            return
        try:
            if why := distrust(path):
                raise SettingsError([f"settings are not read: {why}"])
            lines = envfile.read(path)
        except SettingsError:
            if not self.inputs.only:
                raise
            lines = []
        for line in lines:
            origin = f"{path}:{line.number}"
            ours = canonical(line.name) or free_path(line.name, self.inputs.strategies)
            if line.fault and ours and (ours in self.inputs.only or not self.inputs.only):
                self.problems.append(f"{origin}: {line.name} {line.fault}")
            else:
                self.offer(line.name, line.value, origin, file=path)


class EnvCompile(File):
    name = ".env.compile"


class EnvFile(File):
    name = ".env"


# First wins. Defaults come last, from the schema.
PRECEDENCE: tuple[type[Source], ...] = (Flags, Environment, Credentials, EnvCompile, EnvFile)
