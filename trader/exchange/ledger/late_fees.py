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
    day_before = None if query.after is None else query.after - _DAY
    wide_query = replace(query, after=day_before, until=None, newest_first=False, limit=_ALL, page_token=None)
    posted_activities = [posted_late(activity) for activity in ledger.activities(wide_query)]
    # equal times are told in the order of the ledger, the fees of a midnight before what happens from then on
    posted_activities.sort(key=lambda activity: (activity.at, not activity.late))
    matches = [activity for activity in posted_activities if activity.at <= now and _between(activity, query)]
    if query.newest_first:
        matches.reverse()
    ids = [activity.id for activity in matches]
    start = ids.index(query.page_token) + 1 if query.page_token in ids else 0
    return matches[start : start + query.limit]


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
