"""What keeps a backend in."""

from __future__ import annotations

from tests.mutants.source import Mutant

SANDBOX, KERNELS = "tests/security/test_sandbox.py", "tests/security/test_sandbox_kernels.py"


def sandbox(name: str, file: str, function: str, old: str, new: str, test: str = SANDBOX) -> Mutant:
    return Mutant(f"sandbox: {name}", f"forecasters/worker/{file}", function, old, new, (test,))


FILES = f"{SANDBOX}::test_it_reaches_no_file_of_the_users_but_its_own"
REFUSED = f"{SANDBOX}::test_it_is_refused_what_no_forecast_needs"
FILTER = f"{KERNELS}::test_a_filter_says_of_each_call_what_it_should"
OTHER_KINDS = f"{KERNELS}::test_calls_of_another_kind_are_refused"
NETWORKS = f"{SANDBOX}::test_a_network_is_for_our_own_models_that_are_not_here_yet"
NAMED = f"{SANDBOX}::test_what_its_options_name_can_be_read_and_what_is_hidden_there_can_not"
LINKS = f"{SANDBOX}::test_a_link_that_a_backend_leaves_in_its_cache_leads_the_next_one_nowhere"
CONNECTED = '"connect": [] if network else [_refuse(errno.EACCES)],'
MUTANTS = (
    sandbox(
        "the worker is in none",
        "process.py",
        "WorkerProcess.__init__",
        "command, policy = started(command, sandbox, backend=backend, options=options, fetches=True)",
        "policy: dict[str, str] = {}",
    ),
    sandbox("what it says of itself", "inquiry.py", "_asked", "sandbox, backend=", "Sandbox(on=False), backend="),
    sandbox("privileges", "sandbox", "enter", "kernel.renounce_privileges()", "pass", REFUSED),
    sandbox(
        "root's capabilities",
        "sandbox",
        "renounce_privileges",
        'call(number, struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))',
        "pass",
        FILES,
    ),
    sandbox(
        "files",
        "sandbox",
        "enter",
        "landlock.restrict(places.rules(policy, network=network), connects=network)",
        "pass",
        FILES,
    ),
    sandbox("calls", "sandbox", "enter", "seccomp.restrict(network=network)", "pass", REFUSED),
    sandbox(
        "signals",
        "sandbox/landlock.py",
        "restrict",
        "attr.scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS",
        "pass",
        f"{SANDBOX}::test_it_signals_nobody",
    ),
    sandbox(
        "a server of its own",
        "sandbox/landlock.py",
        "restrict",
        "attr.handled_access_net = _BIND_TCP if connects else _BIND_TCP | _CONNECT_TCP",
        "pass",
        f"{SANDBOX}::test_with_a_network_it_serves_nobody_all_the_same",
    ),
    sandbox("what is hidden", "sandbox", "_around", "path in hidden", "False", FILES),
    sandbox(
        "hidden in a folder of its own",
        "sandbox",
        "_around",
        "not any(path in each.parents for each in hidden)",
        "True",
        f"{SANDBOX}::test_state_in_a_folder_that_it_may_write_stays_out_of_reach",
    ),
    sandbox("a checkout as a whole", "sandbox", "_packages", "or not path.is_dir()", "or True", FILES),
    sandbox("the hub's token", "sandbox", "hub_folders", 'Path(home) / "hub"', "Path(home)", FILES),
    sandbox("weights of others", "sandbox", "rules", "KEEP if network else READ", "KEEP", FILES),
    sandbox(
        "a program that it wrote",
        "sandbox",
        "rules",
        "allow([_SHARED_MEMORY, *folders], KEEP)",
        "allow([_SHARED_MEMORY, *folders], KEEP | RUN)",
        FILES,
    ),
    sandbox(
        "a home that an option names",
        "sandbox",
        "_paths",
        "and not any(path in (whole, *whole.parents) for whole in wholes)",
        "",
        NAMED,
    ),
    sandbox("a network for anybody", "sandbox", "started", "if ours and fetches", "if fetches", NETWORKS),
    sandbox("a network in spite of off", "sandbox", "started", 'and sandbox.network == "auto"', "", NETWORKS),
    sandbox("calls that are always refused", "sandbox", "filter_of", "[_refuse(errno.EPERM)])", "[])", FILTER),
    sandbox("calls of 32 bits", "sandbox", "filter_of", "(_EQUAL, 1, 0, _ARCH", "(_EQUAL, 1, 1, _ARCH", OTHER_KINDS),
    sandbox("calls of x32", "sandbox", "filter_of", 'if machine == "x86_64":', "if False:", OTHER_KINDS),
    sandbox(
        "families of sockets", "sandbox", "_sockets", "(_EQUAL, 1, 0, local[0])", "(_EQUAL, 1, 1, local[0])", FILTER
    ),
    sandbox("datagrams", "sandbox", "_sockets", "(_EQUAL, 1, 0, _SOCK_SEQ", "(_EQUAL, 1, 1, _SOCK_SEQ", FILTER),
    sandbox(
        "links in caches",
        "sandbox",
        "kept",
        "return [each for each in tops if",
        "return [each for each in folders if True or",
        LINKS,
    ),
    sandbox("links in caches, by another way", "sandbox", "_way", "yield from step.parents", "pass", LINKS),
    sandbox(
        "links in caches that options name",
        "sandbox",
        "rules",
        "*outside(policy.readable, (*folders, *hub))",
        "*policy.readable",
        LINKS,
    ),
    sandbox("local services", "sandbox", "_conditions", CONNECTED, '"connect": [],', REFUSED),
    sandbox("namespaces", "sandbox", "_conditions", "(_ANY_BIT, 0, 1, _NEW", "(_ANY_BIT, 1, 1, _NEW", FILTER),
    sandbox(
        "hidden flags of clone3", "sandbox", "_conditions", '"clone3": [_refuse(errno.ENOSYS)]', '"clone3": []', FILTER
    ),
    sandbox("the terminal", "sandbox", "_conditions", "(_EQUAL, 1, 0, _TIOCSTI)", "(_EQUAL, 2, 0, _TIOCSTI)", FILTER),
    sandbox("others' limits", "sandbox", "_unless_zero", "(_EQUAL, 1, 0, 0)", "(_EQUAL, 1, 1, 0)", FILTER),
    sandbox(
        "it is no reason not to start",
        "sandbox",
        "landlock_abi",
        "except OSError:",
        "except ZeroDivisionError:",
        f"{KERNELS}::test_a_kernel_that_lacks_it_all_is_no_reason_not_to_start",
    ),
    sandbox(
        "what the kernel lacks is said",
        "sandbox",
        "enter",
        "[] if is_whole(DEFAULT) else [sentence(DEFAULT)]",
        "[]",
        f"{KERNELS}::test_a_kernel_that_lacks_it_all_is_no_reason_not_to_start",
    ),
)
