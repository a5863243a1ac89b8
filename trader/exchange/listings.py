"""Assets whose rules change while the venue runs: other steps, not tradable, not to be borrowed, delisted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from trader.core.types import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What of a symbol's rules is another than it was. None: as it was.

    tradable        False: what is held may be left, nothing opened
    easy_to_borrow  False: no short can be opened, whatever `shortable` says
    delisted        its open orders end, and nothing is accepted any more
    """

    tick: Decimal | None = None
    lot: Decimal | None = None
    min_size: Decimal | None = None
    tradable: bool | None = None
    shortable: bool | None = None
    easy_to_borrow: bool | None = None
    delisted: bool = False


def relisted(usual: Instrument, listing: Listing | None) -> Instrument:
    """The rules that orders are judged by."""
    if listing is None:
        return usual
    shortable = usual.shortable if listing.shortable is None else listing.shortable
    tradable = usual.tradable if listing.tradable is None else listing.tradable
    return replace(
        usual,
        tick=usual.tick if listing.tick is None else listing.tick,
        lot=usual.lot if listing.lot is None else listing.lot,
        min_qty=usual.min_qty if listing.min_size is None else listing.min_size,
        tradable=tradable and not listing.delisted,
        shortable=shortable and listing.easy_to_borrow is not False and not listing.delisted,
    )
