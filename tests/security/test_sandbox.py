"""A backend that tries each way out of the worker that the daemon starts: spiteful.py says what it tries."""

from __future__ import annotations

import json
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from forecasters.base import ForecastError
from forecasters.registry import GROUP
from forecasters.worker import inquiry
from forecasters.worker.client import Worker, WorkerSettings
from forecasters.worker.sandbox import kernel, seccomp
from forecasters.worker.sandbox.policy import DEFAULT, Sandbox, started
from settings import children
from settings.load import load
from tests.e2e.running import ask
from tests.packages import install
from tests.security import spiteful
from tests.waiting import eventually
from trader.daemon.forecaster import sandbox_of

ABI = kernel.landlock_abi()
needs_landlock = pytest.mark.skipif(not ABI, reason="this kernel has no Landlock, or it is switched off")
needs_signals = pytest.mark.skipif(ABI < 6, reason=f"Landlock of ABI {ABI} keeps no signals in: that came with 6")
needs_seccomp = pytest.mark.skipif(not kernel.has_seccomp(), reason="no seccomp for this processor here")
# The numbers that are refused whatever they are given: a filter sees no more. vhangup would do it, without the filter.
CONDITIONAL = {"vhangup", "clone", "clone3", "socket", "socketpair", "sendto", "ioctl", "prlimit64", "setpriority"}
CONDITIONAL |= {"sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity", "connect"}
COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine())
CALLS = {
    name: numbers[COLUMN]
    for name, numbers in seccomp.NUMBERS.items()
    if COLUMN is not None and name not in CONDITIONAL and numbers[COLUMN] is not None
}
Said = Mapping[str, str]


class House:
    """A user's folders, with a checkout on the path of packages where keys and state lie; and services."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.site, self.home, self.compiled = folder / "site", folder / "home", folder / "compiled"
        self.state = self.site / "state"
        self.hub = self.home / ".cache/huggingface"
        self.places = {
            "journal": self.file(self.state / "journal.db"),
            "env": self.file(self.site / ".env"),
            "private": self.file(self.home / ".ssh/id"),
            "removable": self.file(self.home / ".ssh/old"),
            "token": self.file(self.hub / "token"),
            "weights": self.file(self.hub / "hub/models--a--b/weights"),
            "compiled": str(self.compiled),
            "service": str(folder / "service"),
            "datagrams": str(folder / "datagrams"),
            "calls": json.dumps(CALLS),
        }
        self.file(self.state / "plugin.py")  # by which it looks like a package
        for name, family, kind in (
            ("port", socket.AF_INET, socket.SOCK_STREAM),
            ("service", socket.AF_UNIX, socket.SOCK_STREAM),
            ("datagrams", socket.AF_UNIX, socket.SOCK_DGRAM),
        ):
            service = stack.enter_context(closing(socket.socket(family, kind)))
            service.bind(("127.0.0.1", 0) if family == socket.AF_INET else self.places[name])
            if kind == socket.SOCK_STREAM:
                service.listen()
            if family == socket.AF_INET:
                self.places[name] = str(service.getsockname()[1])
        install(self.site, "spiteful", GROUP, {"spiteful": "spiteful"}, spiteful=Path(spiteful.__file__).read_text())
        self.tell()
        self.sandbox = replace(DEFAULT, hidden=(self.state,), writable=(self.compiled,))

    @staticmethod
    def file(path: Path) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a secret")
        return str(path)

    def tell(self, **more: str) -> None:
        (self.site / "spiteful_places.py").write_text(f"# {json.dumps({**self.places, **more})}")

    def became(self, sandbox: Sandbox) -> Said:
        """Of each attempt: done, or the kernel's word."""
        said: dict[str, str] = {}

        def hear(line: str) -> None:
            word, _, rest = line.partition(" ")
            if word == "ATTEMPT":
                name, outcome = json.loads(rest)
                said[name] = outcome

        worker = Worker(WorkerSettings(backend="spiteful", sandbox=sandbox), on_log=hear)
        with closing(worker):
            worker.warm_up()
        eventually(lambda: "the end" in said, "the last attempt")
        return said


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        made = House(tmp_path_factory.mktemp("h"), stack)
        patch.setenv("PYTHONPATH", str(made.site), prepend=os.pathsep)
        patch.setenv("HOME", str(made.home))
        for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "COMPILED_MODELS_DIR"):
            patch.delenv(name, raising=False)
        yield made


@pytest.fixture(scope="module")
def inside(house: House) -> Said:
    return house.became(house.sandbox)


@needs_landlock
@pytest.mark.parametrize("attempt", spiteful.FILES)
def test_it_reaches_no_file_of_the_users_but_its_own(inside: Said, attempt: str) -> None:
    assert inside[attempt] in ("EACCES", "EPERM")


@needs_signals
@pytest.mark.parametrize("attempt", spiteful.SIGNALS)
def test_it_signals_nobody(inside: Said, attempt: str) -> None:
    assert inside[attempt] == "EPERM"


@needs_seccomp
@pytest.mark.parametrize("attempt", spiteful.CALLS)
def test_it_is_refused_what_no_forecast_needs(inside: Said, attempt: str) -> None:
    assert inside[attempt] in ("EACCES", "EPERM", "EAFNOSUPPORT")


@needs_seccomp
@pytest.mark.parametrize("name", CALLS)
def test_it_makes_no_call_into_the_kernels_depths(inside: Said, name: str) -> None:
    assert inside[f"call {name}"] == "EPERM"


@pytest.mark.parametrize("attempt", spiteful.ALLOWED)
def test_it_can_do_what_it_needs(inside: Said, attempt: str) -> None:
    assert inside[attempt] == "done"


def test_without_the_sandbox_each_of_these_is_done(house: House) -> None:
    """Else the refusals above would say nothing. What changes a file comes last."""
    outside = house.became(replace(house.sandbox, on=False))
    kept = {"keep the privileges of programs", "type on a terminal", "slow a user down"}  # refused in other words
    tried = (*spiteful.FILES, *spiteful.SIGNALS, *spiteful.CALLS)
    assert {name: outside[name] for name in tried if name not in kept and outside[name] in ("EACCES", "EPERM")} == {}


@needs_landlock
def test_what_it_says_of_itself_is_asked_in_a_sandbox_too(house: House) -> None:
    """Before it is the worker: a `requires()` is its code as well."""
    house.tell(asked="yes")
    try:
        assert inquiry.lacking("spiteful", {}, {}, house.sandbox) == ("the keys: EACCES",)
        assert inquiry.lacking("spiteful", {}, {}, Sandbox(on=False)) == ("the keys: done",)
    finally:
        house.tell()


def in_sandbox(code: str, sandbox: Sandbox, *, backend: str = "spiteful", **options: object) -> str:
    """What a program says that is started as the worker is."""
    command, more = started(children.script(code), sandbox, backend=backend, options=options, fetches=True, writable=())
    done = children.run(command, more=more, timeout_s=120)
    return f"{done.stdout}{done.stderr}".strip()


OPENED = """
for path in {paths}:
    try:
        open(path, {mode!r})
        print("opened")
    except OSError:
        print("refused")
"""
NETWORK = """
import socket
try:
    socket.create_connection(("127.0.0.1", %s)).close()
    print("connected")
except OSError as error:
    print("refused", error.errno)
"""


@needs_seccomp
@pytest.mark.parametrize(
    ("backend", "options", "network", "connects"),
    [
        ("toto", {"model_id": "Datadog/Toto-2.0-4m"}, "auto", True),
        ("toto-compiled", {}, "auto", True),
        ("toto", {"model_id": "Datadog/Toto-2.0-4m"}, "off", False),
        ("toto", {"model_id": "./a-folder"}, "auto", False),
        ("kronos", {"model_id": "NeoQuasar/Kronos-mini"}, "auto", True),
        (
            "kronos",
            {"model_id": f"someone/x@{'1f' * 20}", "tokenizer_id": "NeoQuasar/Kronos-Tokenizer-2k"},
            "auto",
            True,
        ),
        ("kronos", {"model_id": "kronos-nano"}, "auto", False),
        ("kronos", {}, "auto", False),
        ("baseline", {}, "auto", False),
        ("spiteful", {"model_id": "Datadog/Toto-2.0-4m"}, "auto", False),
        ("spiteful", {}, "auto", False),  # which says that it has to fetch something
        ("spiteful", {}, "on", True),
    ],
)
def test_a_network_is_for_our_own_models_that_are_not_here_yet(
    house: House, backend: str, options: dict[str, object], network: Literal["auto", "off", "on"], connects: bool
) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install the extra `models`")
    sandbox = replace(house.sandbox, network=network)
    said = in_sandbox(NETWORK % house.places["port"], sandbox, backend=backend, **options)
    assert said.startswith("connected" if connects else "refused")


@pytest.mark.skipif(ABI < 4, reason=f"Landlock of ABI {ABI} knows no network: that came with 4")
def test_with_a_network_it_serves_nobody_all_the_same(house: House) -> None:
    code = "import socket; socket.socket().bind(('127.0.0.1', 0))"
    assert "Permission denied" in in_sandbox(code, replace(house.sandbox, network="on"))
    assert in_sandbox(code, Sandbox(on=False)) == ""


@needs_seccomp
@pytest.mark.parametrize("network", ["off", "on"])
def test_no_namespace_of_its_own(house: House, network: Literal["off", "on"]) -> None:
    """There it would be root, and much more of the kernel open to it. clone3 hides its flags, so there is none."""
    number = seccomp.NUMBERS["clone"][COLUMN or 0]
    code = f"""
import ctypes, os
library = ctypes.CDLL(None, use_errno=True)
for number, flags in (({number}, 0x10000011), (435, 0)):
    if library.syscall(number, flags, 0, 0, 0, 0) == 0:
        os._exit(0)
    print(ctypes.get_errno())
"""
    assert in_sandbox(code, replace(house.sandbox, network=network)).split() == ["1", "38"]


@needs_landlock
def test_what_its_options_name_can_be_read_and_what_is_hidden_there_can_not(house: House) -> None:
    """A folder of weights; and one in which the state lies, though its name is in the options."""
    weights = house.file(house.home / "models/mine/weights")
    paths = [weights, house.places["private"], house.places["journal"], str(house.site / "spiteful.py")]
    options = {"deep": {"weights": [f"{house.home}/models/mine"]}, "data": str(house.site)}
    assert in_sandbox(OPENED.format(paths=paths, mode="r"), house.sandbox, **options).split() == [
        *("opened", "refused", "refused", "opened")
    ]
    whole = in_sandbox(
        OPENED.format(paths=[house.places["private"]], mode="r"), house.sandbox, root="/", home="~", here="."
    )
    assert whole == "refused"


@needs_landlock
def test_state_in_a_folder_that_it_may_write_stays_out_of_reach(house: House, tmp_path: Path) -> None:
    compiled, journal = tmp_path / "all", Path(house.file(tmp_path / "all/state/journal.db"))
    kept = Path(house.file(compiled / "inductor/kept"))
    sandbox = Sandbox(hidden=(journal.parent,), writable=(compiled,))
    assert in_sandbox(OPENED.format(paths=[str(kept), str(journal)], mode="a"), sandbox).split() == [
        "opened",
        "refused",
    ]


PLANTED = """
import os
os.rename({folder!r}, {folder!r} + "-before")
os.symlink({target!r}, {folder!r})
"""


@needs_landlock
@pytest.mark.parametrize("named", ["inductor", "alias/inductor", "alias"])
def test_a_link_that_a_backend_leaves_in_its_cache_leads_the_next_one_nowhere(
    house: House, tmp_path: Path, named: str
) -> None:
    """To the user's files, which it may then read and write. Said as it lies there, or by another way there."""
    compiled, folder = tmp_path / "compiled", tmp_path / "compiled/inductor"
    folder.mkdir(parents=True)
    (tmp_path / "alias").symlink_to(folder if named == "alias" else compiled)
    inner = tmp_path / named if "alias" in named else folder
    private = Path(house.places["private"])
    sandbox = Sandbox(writable=(compiled, inner))
    options = {"guard": {"inductor_dir": str(inner)}}
    assert in_sandbox(PLANTED.format(folder=str(folder), target=str(private.parent)), sandbox, **options) == ""
    assert folder.resolve() == private.parent
    for mode in ("r", "a"):
        said = in_sandbox(OPENED.format(paths=[str(private)], mode=mode), sandbox, **options)
        assert said == "refused"


def test_the_settings_say_what_is_kept_and_what_is_hidden(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "STATE_DIR": str(tmp_path / "state"),
        "COMPILED_MODELS_DIR": str(tmp_path / "compiled"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/elsewhere.db?timeout=3",
    }
    sandbox = sandbox_of(load(environ=environ, folder=tmp_path).settings)
    assert (sandbox.on, sandbox.network) == (True, "auto")
    assert {tmp_path / "state", tmp_path / "elsewhere.db", tmp_path / "elsewhere.db-wal"} <= set(sandbox.hidden)
    assert set(sandbox.writable) == {tmp_path / "compiled", tmp_path / "compiled/inductor"}
    off = load(environ={**environ, "WORKER_SANDBOX": "off", "WORKER_NETWORK": "on"}, folder=tmp_path).settings
    assert (sandbox_of(off).on, sandbox_of(off).network) == (False, "on")


def test_people_are_told_how_backends_are_kept_in(tmp_path: Path) -> None:
    menu = ask(tmp_path, "backends")
    assert "backends run in a sandbox" in menu.out
    off = ask(tmp_path, "check", "--json", WORKER_SANDBOX="off")
    (finding,) = [each for each in off.data if each["name"] == "sandbox"]
    assert finding["ok"] is None
    assert "WORKER_SANDBOX=off" in finding["detail"]


@needs_landlock
def test_one_that_is_refused_something_is_told_where_to_look(house: House) -> None:
    house.tell(raises="yes")
    try:
        worker = Worker(WorkerSettings(backend="spiteful", sandbox=house.sandbox), on_log=lambda line: None)
        with closing(worker), pytest.raises(ForecastError, match=r"Permission denied.*see WORKER_SANDBOX"):
            worker.warm_up()
    finally:
        house.tell()
