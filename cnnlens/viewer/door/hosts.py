"""The names that this viewer answers to: what a Host header may say, and which pages may send writes.

A page of a stranger can point its own name at this machine (DNS rebinding) and then read what it is answered.
The name in the Host header gives it away. An address cannot be pointed elsewhere, so the one that a connection
came in at is a good name too. Werkzeug's own check cannot match an IPv6 literal, so this one is ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from ...errors import UsageError

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@\\]+)/?", re.IGNORECASE)


class Hosts:
    """This machine's own names, and those that the user named.

    A name is a host, `box.local`, or an origin that a proxy shows to browsers, `https://hub.example`: then
    pages of that origin may write, whatever Host the proxy hands on. Raises UsageError for what is neither.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        names, origins = set(), set()
        for text in named:
            origin = _ORIGIN.fullmatch(text)
            name = name_in(origin["host"] if origin else text)
            if not name:
                raise UsageError(
                    f"{text[:80]!r} is no host: give a name, an address, or an origin as https://hub.example"
                )
            names.add(name)
            if origin:
                origins.add(text.lower().removesuffix("/"))
        self._names, self._origins = frozenset(names), frozenset(origins)

    def answers(self, header: str, came_in_at: str = "") -> bool:
        """Whether a Host header names this machine; `came_in_at` is the connection's own address here."""
        name = name_in(header)
        if not name:
            return False
        return name in self._names or is_loopback(name) or (bool(came_in_at) and same(name, came_in_at))

    def writes(self, origin: str, own: str) -> bool:
        """Whether a page of that origin may write; `own` is ours, as the request addressed it."""
        return origin.lower() == own.lower() or origin.lower() in self._origins


def name_in(header: str) -> str:
    """The host of a Host header, lower case, without brackets, port and final dot; empty if it is none."""
    found = _HOST.fullmatch(header)
    if not found or int(found["port"] or 0) > 65535:
        return ""
    name = found["name"].lower()
    if name.startswith("["):
        return name[1:-1] if _address(name[1:-1]) else ""
    return name.removesuffix(".")


def is_loopback(host: str) -> bool:
    """Whether a host, bare or in brackets, is this machine alone."""
    found = _address(host.removeprefix("[").removesuffix("]"))
    return host.lower() == "localhost" or (found is not None and found.is_loopback)


def is_anywhere(host: str) -> bool:
    """Whether listening at `host` means every address of this machine."""
    found = _address(host.removeprefix("[").removesuffix("]"))
    return not host or (found is not None and found.is_unspecified)


def same(one: str, other: str) -> bool:
    """Whether two texts are one and the same address, however they are written."""
    found = _address(one)
    return found is not None and found == _address(other)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, an IPv4 one also where it comes dressed up as IPv6, as a socket for both hands it out."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
