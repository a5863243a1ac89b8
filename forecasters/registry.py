"""Names to backends: the files of forecasters/backends/, and other packages' entry points `forecasters.backends`.

A backend is a module, or any object, with

    Options               a pydantic model: what may be set, with units and defaults
    requires() -> list    what is missing on this machine (a package, a checkpoint), empty where it can run
    lacks(options) -> list    the same for given options (optional): another checkpoint may be there
    notes(options) -> list    what it can run without, and not as well (optional)
    checkpoint(options) -> Checkpoint    the files that its forecasts come from (optional); None: no other files than
                          its package's and those that its options name. Without it no forecast of it is stored
    rounding(options) -> Tolerance    how far a forecast may differ with the size of its batch (optional: not at all)
    build(options)        -> Forecaster; heavy imports belong in here, never at the module's top
    DESCRIPTION           one line (optional)
    ALIASES               other names, each with the options that it stands for (optional); another package's begin
                          with the backend's own and a dash, so that no other package is asked whose a name is

A name taken twice is an error whoever takes it: an operator must know which code answers to a name.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import logging
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

from forecasters.base import Forecaster, ForecastError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from forecasters.compiled.likeness import Tolerance
    from forecasters.options import Checkpoint

GROUP = "forecasters.backends"
BUILT_IN = "built in"

_log = logging.getLogger(__name__)


class RegistryError(ForecastError):
    """An unknown name, a name taken twice, impossible options, or a package that can't be loaded."""


class BackendModule(Protocol):
    Options: type[BaseModel]

    def requires(self) -> Sequence[str]: ...

    def build(self, options: Any) -> Forecaster: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """One line of the menu. It can run here where `missing` is empty."""

    name: str
    source: str  # "built in", or the distribution that brings it
    missing: tuple[str, ...]
    aliases: tuple[str, ...]
    description: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a name stands for: a backend and the options that its alias fixes."""

    backend: str
    fixed: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    source: str
    target: str | EntryPoint

    def load(self) -> BackendModule:
        loaded = self.target.load() if isinstance(self.target, EntryPoint) else importlib.import_module(self.target)
        lacking = [word for word in ("Options", "requires", "build") if not hasattr(loaded, word)]
        if lacking:
            raise RegistryError(f"backend {self.name!r} ({self.source}) has no {', no '.join(lacking)}")
        return cast(BackendModule, loaded)


def available() -> list[BackendInfo]:
    """Every backend, by name, with what it lacks here. One that can't be loaded is listed with the reason."""
    entries = _entries()
    _aliases(entries)  # refuses an alias that another backend has as its name
    return [_info(entry) for entry in entries.values()]


def names() -> tuple[str, ...]:
    """Of every backend, aliases left out. Nothing is imported."""
    return tuple(_entries())


def check_names(wanted_names: Iterable[str]) -> None:
    """Names with `_` for `-`. RegistryError where a backend does not exist. Nothing is imported."""
    backend_names = {_as_variable(name) for name in _entries()}
    for name in wanted_names:
        if name not in backend_names:
            nearest = difflib.get_close_matches(name, backend_names, n=1, cutoff=0.5)
            advice = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(sorted(backend_names))}"
            raise RegistryError(f"no backend is called {name!r}: {advice}")


def resolve(name: str) -> Resolved:
    """The backend and the fixed options behind a name or an alias. RegistryError suggests the nearest name.

    Of other packages at most the one that the name begins with is imported.
    """
    entries = _entries()
    if name in entries:
        return Resolved(backend=name, fixed=MappingProxyType({}))
    aliases = _aliases({n: e for n, e in entries.items() if e.source == BUILT_IN or name.startswith(f"{n}-")})
    if name in aliases:
        return aliases[name]
    known = [*entries, *aliases]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(sorted(known))}"
    raise RegistryError(f"no backend is called {name!r}: {advice}")


def build(name: str, options: Mapping[str, object]) -> Forecaster:
    """The backend behind a name or an alias, ready for `warm_up`. RegistryError where it can't be.

    options  checked by the backend's own Options model; a value that contradicts the alias is refused
    """
    resolved = resolve(name)
    entry = _entries()[resolved.backend]
    for key, value in resolved.fixed.items():
        if key in options and options[key] != value:
            raise RegistryError(f"{name} means {key}={value!r}, which contradicts {key}={options[key]!r}")
    module = _loaded(entry)
    model_options = _validated(entry.name, module.Options, {**options, **resolved.fixed})
    missing = _missing(entry, module, model_options)
    if missing:
        raise RegistryError(f"backend {resolved.backend!r} can't run here: {'; '.join(missing)}")
    return module.build(model_options)


def lacking(name: str, options: Mapping[str, object]) -> tuple[str, ...]:
    """What is missing here for the backend behind a name with these options. RegistryError where they are wrong."""
    resolved = resolve(name)
    entry = _entries()[resolved.backend]
    module = _loaded(entry)
    return _missing(entry, module, _validated(entry.name, module.Options, {**options, **resolved.fixed}))


def fetches(name: str, options: Mapping[str, object]) -> bool:
    """Whether the weights of a backend with these options have to be fetched from the network. RegistryError."""
    resolved = resolve(name)
    entry = _entries()[resolved.backend]
    module = _loaded(entry)
    asked = getattr(module, "fetches", None)
    return asked is not None and bool(asked(_validated(entry.name, module.Options, {**options, **resolved.fixed})))


def check_given(options_by_name: Mapping[str, Mapping[str, object]], chosen: str | None = None) -> None:
    """Options of any backends, by name with `_` for `-`, the chosen one's and others'. RegistryError where a backend
    does not exist, or does not take what is given. One that can't be loaded is not judged: it may not be used at all.

    chosen  a name or an alias: of other packages no other one is imported, nor its options judged
    """
    check_names(options_by_name)
    entries = {_as_variable(name): entry for name, entry in _entries().items()}
    chosen_backend = None if chosen is None else resolve(chosen).backend
    for name, options in options_by_name.items():
        entry = entries[name]
        if chosen_backend is not None and entry.source != BUILT_IN and entry.name != chosen_backend:
            continue
        try:
            model = _loaded(entry).Options
        except RegistryError:
            continue
        _validated(entry.name, model, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What decides a backend's forecasts: all its options, and its checkpoint where it says that it has one.

    module      where its code is, dotted
    says_files  whether it says which files decide its forecasts; without a checkpoint, that there are no others than
                its package's and its options'
    rounding    how far a forecast may differ with the size of its batch; None: not at all
    """

    backend: str
    module: str
    options: Mapping[str, object]
    checkpoint: Checkpoint | None
    says_files: bool = True
    rounding: Tolerance | None = None


def describe(name: str, options: Mapping[str, object]) -> Described:
    """For a name or an alias; the checkpoint may be downloaded. ForecastError where there is none, RegistryError."""
    resolved = resolve(name)
    entry = _entries()[resolved.backend]
    module = _loaded(entry)
    model_options = _validated(entry.name, module.Options, {**options, **resolved.fixed})
    missing = _missing(entry, module, model_options)
    if missing:
        raise RegistryError(f"backend {resolved.backend!r} can't run here: {'; '.join(missing)}")
    checkpoint_of, rounding_of = getattr(module, "checkpoint", None), getattr(module, "rounding", None)
    return Described(
        backend=entry.name,
        module=entry.target.module if isinstance(entry.target, EntryPoint) else entry.target,
        options=MappingProxyType(model_options.model_dump(mode="json")),
        checkpoint=None if checkpoint_of is None else checkpoint_of(model_options),
        says_files=checkpoint_of is not None,
        rounding=None if rounding_of is None else rounding_of(model_options),
    )


def _as_variable(name: str) -> str:
    return name.lower().replace("-", "_")


def _validated(name: str, model: type[BaseModel], options: Mapping[str, object]) -> BaseModel:
    from pydantic import ValidationError

    unknown = _unknown(model, options)
    if unknown:
        raise RegistryError(f"options of backend {name!r}: {'; '.join(unknown)}")
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False):
            option = ".".join(str(part) for part in fault["loc"]) or "options"
            faults.append(f"{option}: {fault['msg'].lower()}")
        raise RegistryError(f"options of backend {name!r}: {'; '.join(faults)}") from error


def _unknown(model: type[BaseModel], options: Mapping[str, object]) -> list[str]:
    """Of options that the model does not have, what is to be said. pydantic by itself passes them over in silence."""
    if model.model_config.get("extra") == "allow":  # it says that it takes anything
        return []
    aliases = [field.alias for field in model.model_fields.values() if field.alias]
    known = [*model.model_fields, *aliases]
    complaints = []
    for option in sorted(set(options) - set(known)):
        nearest = difflib.get_close_matches(option, known, n=1)
        advice = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known) or 'none'}"
        complaints.append(f"{option}: there is no such option, {advice}")
    return complaints


def _entries() -> dict[str, _Entry]:
    """Sorted by name. Nothing is imported but the metadata of installed packages."""
    folder = importlib.util.find_spec("forecasters.backends")
    places = folder.submodule_search_locations if folder is not None else None
    candidates = [
        _Entry(name=module.name, source=BUILT_IN, target=f"forecasters.backends.{module.name}")
        for module in pkgutil.iter_modules(places)
        if not module.name.startswith("_")
    ]
    for point in entry_points(group=GROUP):
        candidates.append(_Entry(name=point.name, source=point.dist.name if point.dist else "unknown", target=point))
    entries: dict[str, _Entry] = {}
    for entry in sorted(candidates, key=lambda item: item.name):
        _refuse_twice(entry.name, entry.source, {name: other.source for name, other in entries.items()})
        entries[entry.name] = entry
    return entries


def _aliases(entries: Mapping[str, _Entry]) -> dict[str, Resolved]:
    sources = {name: entry.source for name, entry in entries.items()}
    aliases: dict[str, Resolved] = {}
    for entry in entries.values():
        try:
            module = _loaded(entry)
        except RegistryError:
            continue  # `available` shows it; the names of the others stay usable
        for alias, fixed in _aliases_of(module).items():
            if entry.source != BUILT_IN and not alias.startswith(f"{entry.name}-"):
                continue  # `resolve` would have to import every package to find it
            _refuse_twice(alias, entry.source, sources)
            sources[alias] = entry.source
            aliases[alias] = Resolved(backend=entry.name, fixed=MappingProxyType(dict(fixed)))
    return aliases


def _aliases_of(module: BackendModule) -> Mapping[str, Mapping[str, object]]:
    declared: Mapping[str, Mapping[str, object]] = getattr(module, "ALIASES", {})
    return declared


def _refuse_twice(name: str, source: str, taken: Mapping[str, str]) -> None:
    if name in taken:
        raise RegistryError(f"the backend name {name!r} is taken twice: by {taken[name]} and by {source}")


def _loaded(entry: _Entry) -> BackendModule:
    """RegistryError where another package's code fails: listing the menu must survive it."""
    try:
        return entry.load()
    except RegistryError:
        raise
    except Exception as error:
        _log.debug("backend %s", entry.name, exc_info=True)
        raise RegistryError(f"backend {entry.name!r} ({entry.source}) can't be loaded: {error!r}") from error


def _missing(entry: _Entry, module: BackendModule, options: BaseModel | None = None) -> tuple[str, ...]:
    """For these options, where they are given and the backend can tell; else for its defaults."""
    lacks = getattr(module, "lacks", None)
    try:
        return tuple(str(lack) for lack in (module.requires() if options is None or lacks is None else lacks(options)))
    except Exception as error:
        _log.debug("backend %s", entry.name, exc_info=True)
        raise RegistryError(f"backend {entry.name!r} ({entry.source}) can't say what it requires: {error!r}") from error


def _info(entry: _Entry) -> BackendInfo:
    try:
        module = _loaded(entry)
        missing, notes = _missing(entry, module), _notes(entry, module)
    except RegistryError as error:
        return BackendInfo(
            name=entry.name, source=entry.source, missing=(error.reason,), aliases=(), description="can't be loaded"
        )
    return BackendInfo(
        name=entry.name,
        source=entry.source,
        missing=missing,
        aliases=tuple(_aliases({entry.name: entry})),
        description=str(getattr(module, "DESCRIPTION", "")),
        notes=notes,
    )


def _notes(entry: _Entry, module: BackendModule) -> tuple[str, ...]:
    noted = getattr(module, "notes", None)
    return () if noted is None else tuple(noted(_validated(entry.name, module.Options, {})))
