"""Who is served: programs of this machine. Not what a browser sends for a page from elsewhere.

The exchange listens on the loopback alone, but every page in a browser reaches that too: by a name of its own that it
points here (its Host gives it away), or by a request or websocket to our address (Origin, Sec-Fetch-Site do).
Programs send neither of the latter, or our own address.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Scope

_HERE = frozenset({"127.0.0.1", "localhost", "[::1]"})
_OURS = frozenset({"none", "same-origin"})  # typed in by a person, or from a page of ours


def turned_away(scope: Scope) -> str:
    """Why this one is not served; "" where it is."""
    hosts, origins, sites = _sent(scope["headers"])
    if len(hosts) != 1 or not _is_here(hosts[0]):
        return "Host must be 127.0.0.1 or localhost"
    if any(origin.lower() != f"http://{hosts[0]}" for origin in origins):
        return "pages from elsewhere are not served"
    if not _OURS.issuperset(sites):
        return "pages from elsewhere are not served"
    return ""


def _is_here(host: str) -> bool:
    name, _, port = host.rpartition(":") if host[-1:].isdigit() and ":" in host else (host, "", "")
    return name in _HERE and (port.isdigit() or not port)


def _sent(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[str], list[str], list[str]]:
    found: dict[bytes, list[str]] = {b"host": [], b"origin": [], b"sec-fetch-site": []}
    for name, value in headers:
        if name in found:
            found[name].append(value.decode("latin-1").strip())
    return [host.lower() for host in found[b"host"]], found[b"origin"], found[b"sec-fetch-site"]
