"""Activities of a venue that posts crypto fees at the end of the day: dated, without a time, of no order by name.

What a fee takes is taken at once all the same; only its entry comes late.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from trader.exchange.ledger.queries import Activity, ActivityQuery, LedgerReader

FEE = "CFEE"
_ALL = 1_000_000
_DAY = timedelta(days=1)


def activities(ledger: LedgerReader, query: ActivityQuery, now: datetime) -> list[Activity]:
    """As the ledger's own; a fee counts as of the midnight (UTC) that ends its day, and is not there before."""
    earlier = None if query.after is None else query.after - _DAY
    everything = replace(query, after=earlier, until=None, newest_first=False, limit=_ALL, page_token=None)
    posted = [posted_late(each) for each in ledger.activities(everything)]
    # equal times are told in the order of the ledger, the fees of a midnight before what happens from then on
    posted.sort(key=lambda each: (each.at, not each.late))
    found = [each for each in posted if each.at <= now and _between(each, query)]
    if query.newest_first:
        found.reverse()
    ids = [each.id for each in found]
    start = ids.index(query.page_token) + 1 if query.page_token in ids else 0
    return found[start : start + query.limit]


def posted_late(activity: Activity) -> Activity:
    """A fill as it is; a fee at the end of its day, its id of the day alone."""
    if activity.kind != FEE or activity.row is None:
        return activity
    midnight = activity.at.replace(hour=0, minute=0, second=0, microsecond=0)
    tail = activity.id.partition("::")[2]
    return replace(activity, id=f"{midnight:%Y%m%d}000000000::{tail}", at=midnight + _DAY, late=True)


def _between(activity: Activity, query: ActivityQuery) -> bool:
    begun = query.after is None or activity.at > query.after
    return begun and (query.until is None or activity.at < query.until)
