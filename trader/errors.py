"""Errors, named by the action that each causes.

TraderError
├── Transient      retried, bounded; never for submissions
│   ├── DatabaseAway       the same of the journal; at a start 75: the service manager tries again
│   │   └── DatabaseUnwritable  it takes nothing: the disk is full, or read-only; at a start 74
│   └── KeysDoubted        the venue does not take the keys for now: asked again for minutes before that is believed
├── StrategyFailed the strategy raised, or did not answer in time: it costs a cycle's entries
├── Rejected       the venue said no: recorded, the cycle goes on
├── Unknown        the venue did not say: asked for by client id, never resent blindly
└── Fatal          the daemon ends with `exit_code`
    ├── Halt               the books do not add up: persisted, a person must look
    ├── VenueUnreachable   69
    ├── AccountLocked      73
    ├── DatabaseUnusable   74
    ├── CredentialsRefused 77
    └── ConfigurationError 78

Anything else is a bug and propagates.
"""

from __future__ import annotations


class TraderError(Exception):
    """Base of all that this program raises on purpose. `exit_code`: of a command that it ends."""

    exit_code = 1


class Transient(TraderError):
    """Trouble that passes. It is tried again, a bounded number of times."""


class DatabaseAway(Transient):
    """The database is locked, restarting or out of reach. Nobody has to mend anything."""

    exit_code = 75  # EX_TEMPFAIL


class DatabaseUnwritable(DatabaseAway):
    """It can be read at most. Somebody has to make room, or to mend the disk; exits go on meanwhile."""

    exit_code = 74


class KeysDoubted(Transient):
    """The venue refuses the keys, and may take them again: good ones have been refused for a while."""


class Rejected(TraderError):
    """The venue refused. `code` is the venue's own (0 where it gave none), `status` the HTTP one."""

    def __init__(self, message: str, *, code: int = 0, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class StrategyFailed(TraderError):
    """The strategy is a plug-in: what is wrong with it costs a cycle's entries and nothing else."""


class Unknown(TraderError):
    """The venue did not answer, or its answer made no sense. The outcome must be asked for."""


class Fatal(TraderError):
    """Ends the daemon. The message is one line that says what to do."""


class Halt(Fatal):
    """The books do not add up. It stands in the journal until a person resumes."""

    exit_code = 70


class VenueUnreachable(Fatal):
    exit_code = 69


class AccountLocked(Fatal):
    exit_code = 73


class DatabaseUnusable(Fatal):
    exit_code = 74


class CredentialsRefused(Fatal):
    exit_code = 77


class ConfigurationError(Fatal):
    exit_code = 78
