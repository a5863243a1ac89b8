"""The few sizes that are computed: what is asked for is rounded up to one of them, and the rest is masked."""

from __future__ import annotations

from dataclasses import dataclass

from forecasters.base import InvalidContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Increasing sizes; none at all means that every size is computed as it is."""

    context: tuple[int, ...] = ()  # patches
    ahead: tuple[int, ...] = ()  # patches
    variates: tuple[int, ...] = ()

    def of_context(self, size: int) -> int:
        return _fit(size, self.context, "context patches")

    def of_ahead(self, size: int) -> int:
        return _fit(size, self.ahead, "patches ahead")

    def of_variates(self, size: int) -> int:
        return _fit(size, self.variates, "variates")


EXACT = Buckets()


def _fit(size: int, sizes: tuple[int, ...], what: str) -> int:
    """Raises InvalidContext beyond the largest: a graph made on the way would take a minute, unasked."""
    if not sizes:
        return size
    for bucket in sizes:
        if size <= bucket:
            return bucket
    raise InvalidContext(f"{size} {what} are more than the {sizes[-1]} that were prepared")
