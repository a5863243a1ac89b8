"""Exits while the journal takes nothing."""

from __future__ import annotations

from tests.mutants.guards.trading import guard
from tests.mutants.source import Mutant

WITHOUT = ("tests/trading/test_without_journal.py",)
FLAPS = ("tests/trading/test_journal_flaps.py",)
FILE = ("tests/adapters/test_reserve.py",)

TRADING = (
    Mutant(
        "reserve: a locked journal is not waited for again",
        "trader/adapters/journal/store.py",
        "Store._write",
        "self._wait_for(BUSY_AGAIN_MS)",
        "pass",
        ("tests/adapters/test_journal_damage.py",),
    ),
    guard("reserve: exits go on", "Manager._run_without_journal", "self.without.begin(error)", "False", *WITHOUT),
    guard(
        "reserve: recorded before it is sent",
        "InReserve.add_intents",
        "self._reserve.add(record, intent, at)",
        "pass",
        *WITHOUT,
    ),
    guard(
        "reserve: what can't be recorded is not sent",
        "InReserve.add_intents",
        'raise Transient(f"the reserve can\'t be written, so no exit is sent: {error.strerror}") from error',
        "pass",
        *WITHOUT,
    ),
    guard(
        "reserve: no name twice",
        "InReserve.under",
        "self._names[record, wish.symbol, wish.purpose] += 1",
        "pass",
        *WITHOUT,
    ),
    guard("reserve: taken in once", "take_in", "if name not in known:", "if True:", *WITHOUT),
    guard("reserve: empty once it is taken in", "take_in", "reserve.clear()", "pass", *WITHOUT),
    guard("reserve: entries go", "WithoutJournal.run", "if entries:", "if False:", *WITHOUT),
    guard("reserve: room is given back", "WithoutJournal.begin", "store.give_room()", "pass", *WITHOUT),
    guard("reserve: no cycle meanwhile", "Trader.trade", "or self.desk.doubts.get(DOUBT)", "", *WITHOUT),
    guard("reserve: what was known before the change", "Known.go_without", "before = self._before",
          "before = Before()", *WITHOUT),
    guard("reserve: books and fills of one moment", "Known.save_sync", "self._read_books()", "self._done()", *WITHOUT),
    guard("reserve: fills are read again", "Desk.come_back",
          "remember_fills(self._memory, fills)", "pass", *WITHOUT),
    guard("flaps: read before it counts as back", "Known.anew", "books=real.believed()", "books=None", *FLAPS),
    guard("flaps: fills are known with the books", "Bookkeeper._book",
          "memory.execution_ids |= {execution.id for execution in result.executions}", "pass", *FLAPS),
    guard("flaps: one that comes late has its record", "adopt_unrecorded",
          "order.client_order_id not in recorded_names", "True", *FLAPS),
    guard("flaps: what is latched is written down", "Desk.come_back", "self._agree_on_flags()", "pass", *FLAPS),
    guard("flaps: what was written is in force", "Desk._agree_on_flags", "elif written and not reason:", "elif False:",
          *FLAPS),
    guard("flaps: fees are read again", "Desk.come_back", "self.books.history.forget()", "pass", *FLAPS),
    guard("reserve: the money of what fills", "Bookkeeper.unrecorded", "self._await(reported, traded)", "pass", *FLAPS),
    guard("reserve: what others trade", "Bookkeeper.unrecorded",
          "self.history.told() if filled or moved(self.memory.portfolio, portfolio) else ()", "()", *FLAPS),
)  # fmt: skip
ADAPTERS = (
    Mutant("reserve: a line is whole", "trader/adapters", "lines_of", 'checksum == b"%08x" % zlib.crc32(text)',
           'text.startswith(b"{")', FILE),
    Mutant("reserve: after a line that was cut off", "trader/adapters", "Reserve._append",
           'b"" if not before or before.endswith(b"\\n") else b"\\n"', 'b""', FILE),
    Mutant("reserve: on a full disk by the ballast", "trader/adapters", "Reserve.add",
           "self.ballast.give_back()", "pass", FILE),
    Mutant("reserve: its name outlives a power cut", "trader/adapters", "Reserve._put",
           "sync_folder(self.path.parent)", "pass", FILE),
    Mutant("ballast: room for others is left", "trader/adapters", "Ballast.make", "if self.lacking():", "if False:",
           FILE),
)  # fmt: skip
MUTANTS = (*TRADING, *ADAPTERS)
