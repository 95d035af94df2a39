"""Which addresses may be fetched when somebody else names them: the public ones, and what the operator allows.

Rules of this file:
- pure;
- public is what the IANA registries call global, by an allow-list: an address that carries another one within it (an
  IPv4 address mapped, or behind 6to4 or NAT64) is as public as that one;
- a host that can be read as a number in any way is an address in its one usual form, or refused: ``127.1``,
  ``2130706433`` and ``0x7f.1`` are all this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from bridge.model import BridgeError

Address = IPv4Address | IPv6Address

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NUMERIC = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|\d+)\.?|.*:.*", re.IGNORECASE | re.DOTALL)
"""What resolvers and URL parsers may take for an address: the last part is a number, or there is a colon."""
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?", re.IGNORECASE)
_INSIDE = (".localhost", ".local", ".internal")


class NotPublic(BridgeError):
    """The address is not a public one, and allow_private does not name it."""


def is_public(address: Address) -> bool:
    """May anyone on the internet reach this address?"""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST or address.scope_id is not None:
            return False
    return address.is_global and not address.is_multicast


def host_of(url: str) -> str:
    """``host:port`` of an address in the config, as Guard takes it: in small letters, and an international name in its
    ASCII form. Empty when there is none."""
    try:
        parts = URL(url)
    except ValueError:
        return ""
    return f"{parts.raw_host}:{parts.port}" if parts.raw_host else ""


def _ascii(name: str) -> str:
    try:
        return URL.build(scheme="http", host=name).raw_host or ""
    except ValueError:
        return name.lower()


class Guard:
    """``hosts`` are ``host:port`` (host_of); ``allow_private`` holds addresses, networks and host names."""

    def __init__(self, hosts: Iterable[str] = (), allow_private: Iterable[str] = ()) -> None:
        self._hosts = {host.lower() for host in hosts}
        self._names: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in allow_private:
            try:
                self._networks.append(ip_network(entry.strip().strip("[]"), strict=False))
            except ValueError:
                self._names.add(_ascii(entry.strip()))

    def check_host(self, host: str, port: int, *, proxied: bool) -> None:
        """The host of an address, before anything is looked up. Raises NotPublic.

        A proxy looks names up itself, where this machine cannot see it: then a name that is not one of the public
        internet (a single word, ``.local``, ``.internal``) is refused as well.
        """
        if self._exempt(host, port):
            return
        if _NUMERIC.fullmatch(host):
            self._check_address(host)
        elif not _NAME.fullmatch(host):
            raise NotPublic
        elif proxied:
            name = host.lower().removesuffix(".")
            if "." not in name or name.endswith(_INSIDE):
                raise NotPublic

    def check_found(self, host: str, port: int, found: Iterable[str]) -> None:
        """All addresses that a name was looked up to. Raises NotPublic when one of them is not public."""
        if not self._exempt(host, port):
            for address in found:
                self._check_address(address)

    def _check_address(self, text: str) -> None:
        try:
            address = ip_address(text)
        except ValueError:
            raise NotPublic from None
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if not is_public(address) and not any(address in network for network in self._networks):
            raise NotPublic

    def _exempt(self, host: str, port: int) -> bool:
        host = host.lower()
        return host in self._names or f"{host}:{port}" in self._hosts
