"""Who may ask the web page: itself, and programs on this machine; no page of another site in the same browser.

In goes an ASGI application and the address that it is served at; out comes one that refuses requests which name a
foreign host (a name that was made to point here), that come from a foreign page (Origin), and queries by GET, which a
link or an image can send. Web sockets are guarded alike. Who may reach the port is the network's business.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_GRAPHQL: Final = "/graphql"
_QUERY_TYPES: Final = ("application/json", "application/graphql")  # no form of another page can send these
_POLICY_VIOLATION: Final = 1008  # RFC 6455, 7.4.1


class SamePageOnly:
    """ASGI application that lets `application` answer itself and programs on this machine alone.

    Parameters
    ----------
    application
        What is guarded.
    host
        Address that it is served at. One that is not loopback lets its own name and numeric addresses be asked too.
    """

    def __init__(self, application: Application, host: str) -> None:
        self._application = application
        self._host = host

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 403, 405 or 415 and one line."""
        refused = self.refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refused is None:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refused[1]})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": refused[0], "headers": headers})
            await send({"type": "http.response.body", "body": refused[1].encode()})

    def refusal(self, scope: Message) -> tuple[int, str] | None:
        """Status and reason why a request is refused; None for one that may pass."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 403, "this server answers under its own name only"
        for origin in headers.get("origin", []):
            if urlsplit(origin).netloc.lower() != hosts[0].lower():
                return 403, "this server answers its own pages only"
        if scope["type"] == "websocket" or not scope["path"].rstrip("/").endswith(_GRAPHQL):
            return None
        if scope["method"] != "POST":
            page = any("text/html" in accepted for accepted in headers.get("accept", []))
            return None if scope["method"] == "GET" and page else (405, "queries are sent by POST")
        if not any(kind in sent for kind in _QUERY_TYPES for sent in headers.get("content-type", [])):
            return 415, "queries are sent as application/json"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in (*_LOOPBACK, self._host.lower()):
            return True
        # Served to a network on purpose: numbers cannot be made to point here by another's name server, names can.
        return self._host not in _LOOPBACK and (name == socket.gethostname().lower() or _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
