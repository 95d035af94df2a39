"""The HTTP/2 connection to a gateway: where it goes, how it is encrypted, how its death is noticed.

Rules of this file:
- one channel lives as long as the client: after a loss it connects anew with the next call. Connecting is a step of its
  own, because what fails there has sent nothing;
- a network that died silently is found out by HTTP/2 pings while a call is open, and the event stream always is. Node's
  gRPC server, which gateways are made of, puts up with any number of pings;
- without ``ca`` the certificate must be for the host and signed by one of the system's authorities. With ``ca`` it must
  be signed by that authority, for the name that all wechaty clients ask for: the part of the token before its last
  ``_``, in lower case (a token without one: the host). So the certificate that is built into gateways, for the name
  ``insecure``, works with a token ``insecure_…``. Its private key is public: it keeps readers out, not impostors.

Source: src/client/grpc-manager.ts and src/auth/ca.ts of wechaty-puppet-service 1.19.9, wechaty-token 1.1.2.
"""

from __future__ import annotations

import asyncio
import os
import ssl

from grpclib.client import Channel
from grpclib.config import Configuration

from bridge.model import Fatal, Unreachable

CONNECT = 10.0
"""Seconds to connect in."""
PING, PONG = 30.0, 15.0
"""Seconds between two pings, and for the answer to one."""


def channel(endpoint: str, token: str, *, tls: bool, ca: str) -> Channel:
    """A channel to ``host:port`` (``[v6]:port``), not connected yet. Raises Fatal when the file ``ca`` is no help."""
    host, _, port = endpoint.rpartition(":")
    return Channel(
        host.strip("[]"),
        int(port),
        ssl=_context(ca) if tls else None,
        config=Configuration(
            _keepalive_time=PING,
            _keepalive_timeout=PONG,
            _http2_max_pings_without_data=0,
            _http2_min_sent_ping_interval_without_data=PING / 2,
            ssl_target_name_override=(server_name(token) or None) if ca else None,
        ),
    )


def server_name(token: str) -> str:
    """The name in the certificate, by the token; empty = by the host."""
    return token.rpartition("_")[0].lower()


def _context(ca: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise Fatal(f"The CA file {ca} cannot be used: {error.strerror or error}") from None
    if ca:  # the gateways' own authority is older than what Python 3.13 demands of one
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])
    return context


async def connect(channel: Channel, endpoint: str) -> None:
    """Connect unless connected. Raises Unreachable: nothing was sent."""
    try:
        async with asyncio.timeout(CONNECT):
            protocol = await channel.__connect__()
    except OSError as error:
        raise Unreachable(f"The gateway {endpoint} cannot be reached: {_reason(error)}") from None
    if protocol.connection.is_closing():
        raise Unreachable(f"The connection to the gateway {endpoint} is being closed.")


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {CONNECT:.0f} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS there ({error.reason or 'SSL'})"
    if error.errno and error.errno > 0:  # asyncio writes its own words with it, and the address once more
        return os.strerror(error.errno)
    return error.strerror or str(error)
