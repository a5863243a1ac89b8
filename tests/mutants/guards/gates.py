"""Who is believed, what a child gets, where the keys go, and what must not be said."""

from __future__ import annotations

from tests.mutants.source import Mutant

CHILDREN, TRUST, REDACTION = "settings/children.py", "settings/trust.py", "settings/redaction.py"
STARTS = ("tests/settings/test_children.py",)
TRUSTED = ("tests/settings/test_trust.py",)
ANOTHER = ("tests/security/test_second_user.py",)
KEYS = ("tests/settings/test_keys_go_where.py",)
CANARIES = ("tests/security/test_canaries.py",)
BACKENDS = ("tests/security/test_backend_code.py",)
OWN = ("tests/security/test_own_files.py",)
TOOLCHAIN = ("tests/forecasters/compiled/test_toolchain.py",)
KRONOS = ("tests/forecasters/kronos/test_kronos_checkpoints.py",)
TOTO = ("tests/forecasters/toto/test_toto_checkpoints.py",)


def child(name: str, function: str, old: str, new: str) -> Mutant:
    return Mutant(f"child: {name}", CHILDREN, function, old, new, STARTS)


IN_CHILDREN = (
    child("started in a planted folder", "python", '"-P",', ""),
    child("starts others in a planted folder", "environment", '"PYTHONSAFEPATH": "1",', ""),
    child("a pool in a planted folder", "pool", 'os.environ["PYTHONSAFEPATH"] = "1"', "pass"),
    child("a relative module path", "_absolute_only", "if os.path.isabs(part)", ""),
    child(
        "a program of the working folder",
        "environment",
        'path := _absolute_only(ours.get(name, ""))',
        'path := ours.get(name, "")',
    ),
    child("a temporary folder that another made again", "_is_ours", "found.st_uid == os.geteuid()", "True"),
    child("any variable", "_allowed", "return _FAMILIES.fullmatch(name) is not None and", "return"),
    child("a secret of a known family", "_allowed", "and _NAMES_A_SECRET.search(name) is None", ""),
    child("a proxy's password", "_allowed", '"@" not in value', "True"),
    child("a temporary folder of everybody", "environment", "str(temporary_folder())", '"/tmp"'),
    child("writes for everybody", "start", "umask=_umask if umask is None else umask,", "umask=0,"),
)


def trust(name: str, old: str, new: str, function: str = "_wrong_with", tests: tuple[str, ...] = TRUSTED) -> Mutant:
    return Mutant(f"trust: {name}", TRUST, function, old, new, tests)


SOCKETS = ("tests/settings/test_trust.py::test_a_socket_is_not_looked_for_where_everybody_can_put_one",)
IN_TRUST = (
    trust("a socket of everybody's", "step.last or not mode & stat.S_ISVTX", "False", "open_to_all", SOCKETS),
    trust("a socket in a stranger's folder", "shared is not None and theirs", "False", "open_to_all", SOCKETS),
    trust("a socket's folder not made yet", '"" if shared is None else', '"" if True else', "open_to_all", SOCKETS),
    Mutant(
        "trust: a strategy's file, past the settings",
        "trader/commands/strategies.py",
        "check",
        "why := distrust(Path(file))",
        "why := ''",
        ("tests/security/test_second_user.py::test_a_strategy_of_his_is_run_by_no_command",),
    ),
    Mutant(
        "trust: any socket",
        "settings/load.py",
        "_distrusted",
        "settings.worker.socket and (why",
        "False and (why",
        SOCKETS,
    ),
    trust("another owner", "found.st_uid not in (os.geteuid(), ROOT)", "False"),
    trust("everybody may write", "bool(mode & stat.S_IWOTH)", "False"),
    trust("a group may write", "bool(mode & stat.S_IWGRP) and", "False and"),
    trust("a list may let more users write", "_has_more_users(step.path) or", ""),
    trust("a sticky folder is a place", "and not step.last", ""),
    trust("any folder of everybody is a step", "and mode & stat.S_ISVTX", ""),
    trust("a link is not followed", "left = [*(target.parts[1:]", "left = [*(target.parts[:0]", "_way"),
    trust("root's are ours", "and path.stat().st_uid == ROOT", "", "is_roots", KEYS),
    trust("a folder stays open", "folder.chmod(mode & ~umask())", "pass", "close_to_others"),
    Mutant(
        "trust: settings", "settings/sources.py", "File.read", "if why := distrust(path):", "if why := '':", ANOTHER
    ),
    Mutant(
        "trust: credentials",
        "settings/sources.py",
        "Credentials.read",
        "if why := distrust(path):",
        "if why := '':",
        ANOTHER,
    ),
    Mutant(
        "trust: state and strategies", "settings/load.py", "_distrusted", "if why][:1]", "if not name][:1]", ANOTHER
    ),
    Mutant(
        "trust: compile caches", "forecasters/compiled", "_why_not", "why := distrust(folder)", "why := ''", TOOLCHAIN
    ),
    Mutant("trust: precompiled headers", "forecasters/compiled", "_keep_temporary_files", "", "pass", TOOLCHAIN),
    Mutant(
        "trust: Kronos' checkpoints",
        "forecasters/kronos/hub.py",
        "_located",
        "(why := untrusted(source)) and not believed",
        "False",
        KRONOS,
    ),
    Mutant(
        "trust: Toto's checkpoints", "forecasters/toto/hub.py", "_local", "why := untrusted(folder)", "why := ''", TOTO
    ),
    Mutant(
        "trust: a folder called like a published Kronos",
        "forecasters/kronos/hub.py",
        "is_folder",
        'model_id.partition("@")[0] in {*PUBLISHED, *TOKENIZERS}',
        "False",
        KRONOS,
    ),
    Mutant(
        "trust: a folder called like a published Toto",
        "forecasters/toto/hub.py",
        "is_folder",
        'model_id.partition("@")[0] in PUBLISHED',
        "False",
        TOTO,
    ),
)
IN_KEYS = (
    Mutant(
        "keys: a stray file names the host", "settings/load.py", "_sent_elsewhere", "not is_roots(file)", "False", KEYS
    ),
    Mutant(
        "keys: to a port of this machine",
        "settings/schema.py",
        "_url_rules",
        "is_here(host) and",
        "False and",
        KEYS,
    ),
    Mutant(
        "keys: a simulation elsewhere",
        "settings/schema.py",
        "_url_rules",
        'elif mode == "sim" and host not in LOOPBACK',
        "elif False",
        KEYS,
    ),
    Mutant(
        "keys: an account's own in a simulation",
        "trader/daemon/account.py",
        "sim_keys",
        "looks_real(key)",
        "False",
        KEYS,
    ),
)
IN_REDACTION = (
    Mutant(
        "said: a part of a secret",
        REDACTION,
        "redactor",
        "_without(text, pieces) if pieces else text",
        "text",
        CANARIES,
    ),
    Mutant(
        "said: what the venue repeats",
        "trader/adapters/alpaca/answers.py",
        "first_line",
        "clean(text)",
        "text",
        CANARIES,
    ),
    Mutant("kept: a secret in an alert", "trader/adapters/journal", "alert", "clean(detail)", "detail", CANARIES),
    Mutant("kept: a secret in a note", "trader/adapters/journal", "close_cycle", "clean(note)", "note", CANARIES),
    Mutant("shown: a parameter of unknown type", "settings/schema.py", "shown_free", "if harmless and", "if", CANARIES),
    Mutant(
        "said: an error that nobody foresaw",
        "trader/__main__.py",
        "main",
        "sys.excepthook = _say_without_secrets",
        "pass",
        CANARIES,
    ),
    Mutant("memory that others may read", "trader/__main__.py", "main", "close_memory()", "pass", CANARIES),
    Mutant("files that others may read", "trader/cli.py", "cli", "children.set_umask(int(umask, 8))", "pass", OWN),
    Mutant("a umask that lets others write", "trader/cli.py", "cli", "or int(umask, 8) & 0o022 != 0o022", "", OWN),
)
ARMS = "trader/research/forecasts/arms.py"
ENDLESS = "tests/research/evaluate/test_endless_files.py"
IN_BACKENDS = (
    Mutant(
        "backend: an alias of it, asked in a command",
        ARMS,
        "resolved",
        "inquiry.resolve(name, sandbox_of(settings))",
        "inquiry.registry.resolve(name)",
        BACKENDS,
    ),
    Mutant(
        "backend: weights that never end",
        "trader/research/forecasts/sources_of.py",
        "_refuse_endless",
        "not stat.S_ISREG(about.st_mode)",
        "False",
        (ENDLESS,),
    ),
    Mutant(
        "backend: weights without a size",
        "trader/research/forecasts/sources_of.py",
        "_read",
        "min(size, _PART)",
        "_PART",
        (ENDLESS,),
    ),
    Mutant(
        "backend: weights of any size",
        "trader/research/forecasts/sources_of.py",
        "_refuse_endless",
        "sum(about.st_size for _, about in found) > MOST_BYTES",
        "False",
        (ENDLESS,),
    ),
    Mutant(
        "backend: asked in the trading process",
        "trader/daemon/forecaster.py",
        "_asked",
        "inquiry.lacking(name, options, settings.backend_options, sandbox_of(settings))",
        "__import__('forecasters.registry').registry.lacking(name, options or {})",
        BACKENDS,
    ),
    Mutant(
        "backend: all are imported for a name",
        "forecasters/registry.py",
        "resolve",
        'if e.source == BUILT_IN or name.startswith(f"{n}-")',
        "",
        BACKENDS,
    ),
    Mutant(
        "backend: an endless answer",
        "forecasters/worker/inquiry.py",
        "_read",
        "len(said) <= MOST_BYTES",
        "True",
        BACKENDS,
    ),
)
LOOKS = "tests/security/test_second_user_looks.py"


def looks(name: str, where: str, function: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"another user: {name}", where, function, old, new, (f"{LOOKS}::{test}",))


LINKS, EXCHANGE = "test_what_root_writes_follows_no_link_of_his", "trader/exchange/command.py"
OF_SECRET = ("tests/exchange/api/test_exchange_command.py",)
IN_ANOTHER = (
    looks(
        "reads the state",
        "trader/cli.py",
        "cli",
        "children.set_umask(int(umask, 8))",
        "children.set_umask(0)",
        "test_he_reads_nothing_of_state_journal_and_ledger",
    ),
    looks(
        "reads a secret among the arguments",
        "trader/daemon/exchange_process.py",
        "ExchangeChild.__enter__",
        '"--port", "0",',
        '"--port", "0", "--ledger", str(self.keys),',
        "test_he_reads_no_environment_no_memory_and_no_secret_among_the_arguments",
    ),
    looks(
        "uses the daemon's exchange",
        "trader/exchange/api/server.py",
        "Keys.admits",
        "_same(self.secret, secret)",
        "True",
        "test_the_daemons_exchange_takes_nothing_from_him",
    ),
    looks(
        "asks the worker",
        "forecasters/worker/child.py",
        "_listening",
        "os.umask(0o777 & ~mode)",
        "os.umask(0)",
        "test_he_connects_to_no_worker",
    ),
    looks("leads a report", "trader/folders.py", "put", "flags | os.O_NOFOLLOW", "flags", LINKS),
    looks(
        "leads a backup",
        "trader/adapters/journal/upgrade.py",
        "backup",
        "unfinished.replace(path)",
        "path.write_bytes(unfinished.read_bytes())",
        LINKS,
    ),
    looks(
        "makes the folder of compiled code first",
        "forecasters/compiled/toolchain.py",
        "_first_usable",
        'Path(tempfile.mkdtemp(prefix="trader-compiled-"))',
        'Path(tempfile.gettempdir()) / "trader-compiled"',
        "test_without_a_home_what_is_compiled_goes_to_no_folder_that_he_made_first",
    ),
    Mutant("secret: a file of others", EXCHANGE, "_first_line", "distrust(file)", "''", OF_SECRET),
    Mutant("secret: all may read it", EXCHANGE, "_first_line", "mode & stat.S_IROTH", "False", OF_SECRET),
    Mutant("secret: a key id alone", EXCHANGE, "_secret", "found is None", "False", OF_SECRET),
)
SBOM = ("tests/packaging/test_sbom.py",)
IN_LICENCES = (
    Mutant("licence: any", ".ci/sbom.py", "_allowed", "licence in ALLOWED or", "True or", SBOM),
    Mutant(
        "licence: one of several",
        ".ci/sbom.py",
        "_allowed",
        "ALLOWED.issuperset(all_of)",
        "set(all_of) & ALLOWED",
        SBOM,
    ),
    Mutant("licence: none", ".ci/sbom.py", "refused", "not each", "False", SBOM),
)
CHILDREN_TESTS = ("tests/settings/test_children.py",)
IN_POOLS = (
    Mutant("pool: environment", "settings/children.py", "pool", "del os.environ[name]", "pass", CHILDREN_TESTS),
    Mutant("pool: memory", "settings/children.py", "pool", ", initializer=close_memory", "", CHILDREN_TESTS),
    Mutant(
        "pictures: settings of the working folder",
        "trader/research/report/pictures.py",
        "figure_class",
        'chdir("/")',
        'chdir(".")',
        ("tests/research/evaluate/test_pictures_settings.py",),
    ),
)
MUTANTS = (
    *IN_CHILDREN,
    *IN_TRUST,
    *IN_KEYS,
    *IN_REDACTION,
    *IN_BACKENDS,
    *IN_ANOTHER,
    *IN_LICENCES,
    *IN_POOLS,
)
