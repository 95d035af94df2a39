"""The calls of an app beside the questions: stop a run, read the app's settings, take a file in.

Rules of this file:
- they live at what precedes ``/v1`` (DESIGN 2.3) and need ``app_id``; kind openai has none of them;
- the key goes to the app alone, never to the storage that an upload is sent to;
- a call that the server lacks is remembered, not asked for with each file; a storage that fails is left alone for a
  moment only (bridge.storage).

Sources: labring/FastGPT, ``core/chat/file/presignChatFile*Url``, ``core/chat/init``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import IO, Any

import httpx
import msgspec

from bridge.appsettings import Settings, settings_of
from bridge.config import App
from bridge.fastgpt import api_root
from bridge.faults import Reason, UpstreamError, of_response
from bridge.model import BridgeError
from bridge.storage import Refusal, Unavailable, UploadRefused, put, refusal_of, target_of
from bridge.wire import FAILURES

log = logging.getLogger(__name__)

STOP = 10.0
"""Seconds to wait for the answer to a stop; the server takes up to 5."""
CALL = 10.0
"""Seconds to wait for the answer to every other call: a question waits behind it."""
SETTINGS_LAST = 300.0
FAILURE_LASTS = 30.0
"""Seconds after which settings that the server could not tell are asked for again."""
NO_UPLOAD_LASTS = 600.0
STORAGE_RESTS = 10.0
"""Seconds without uploads after the storage has failed twice."""


class Uploaded(msgspec.Struct, frozen=True):
    """A file in the app's storage: the ``key`` of its part, and an address (empty = the server gives none)."""

    key: str
    url: str

    def __repr__(self) -> str:
        return f"Uploaded(key={self.key!r})"


class NoUpload(BridgeError):
    """The app takes no uploads, or its storage fails: another way may lead to the app."""


_ABSENT: frozenset[Reason] = frozenset({"wrong_path", "not_found", "key", "wrong_key", "permission"})
"""Reasons that mean: not with this server, or not with this key. Old servers knew the call, but no keys for it."""
_PRESIGN = ("/core/chat/file/presignChatFilePostUrl", "/core/chat/presignChatFilePostUrl")
_ADDRESS = ("/core/chat/file/presignChatFileGetUrl", "/core/chat/presignChatFileGetUrl")
"""Today's paths, and those of 2025."""


class AppApi:
    """The helper calls of one app. ``client`` is one of bridge.wire; it is not closed here."""

    def __init__(self, app: App, client: httpx.AsyncClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._client = client
        self._clock = clock
        self._root = api_root(app.base_url)
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if app.api_key:
            self._headers["Authorization"] = f"Bearer {app.api_key}"
        self._settings: Settings | None = None
        self._settings_until = float("-inf")
        self._asking = asyncio.Lock()
        self._no_upload_until = float("-inf")
        self._storage_rests_until = float("-inf")

    @property
    def present(self) -> bool:
        """Has the app these calls?"""
        return bool(self._app.app_id) and self._app.kind == "fastgpt"

    @property
    def uploads(self) -> bool:
        """Does the app take uploads, as far as is known?"""
        return self.present and self._clock() >= self._no_upload_until

    async def stop(self, chat_id: str) -> None:
        """End the run of a chat on the server. A failure is logged: the run ends by itself later."""
        if not self.present:
            return
        body = msgspec.json.encode({"appId": self._app.app_id, "chatId": chat_id})
        url = f"{self._root}/v2/chat/stop"
        try:
            response = await self._client.post(url, content=body, headers=self._headers, timeout=STOP)
        except FAILURES as error:
            log.warning("stopping %s failed: %s", chat_id, type(error).__name__)
        else:
            if not response.is_success:
                log.warning("stopping %s failed: HTTP %d", chat_id, response.status_code)

    async def settings(self, chat_id: str) -> Settings | None:
        """The app's settings, at most SETTINGS_LAST seconds old; None when they are not known. ``chat_id`` must not be
        empty (servers of 2026 insist); the answer is the same for every chat."""
        if not self.present:
            return None
        async with self._asking:
            if self._clock() >= self._settings_until:
                try:
                    data = await self._call("GET", "/core/chat/init", {"chatId": chat_id})
                except UpstreamError as error:
                    log.warning("app %s: its settings are not known: %s", self._app.app_id, error.reason)
                    self._settings = None
                else:
                    self._settings = settings_of(data)
                self._settings_until = self._clock() + (SETTINGS_LAST if self._settings else FAILURE_LASTS)
            return self._settings

    async def upload(self, chat_id: str, name: str, mime: str, size: int, content: IO[bytes]) -> Uploaded:
        """Put a file of ``size`` bytes where the app finds it; ``content`` can be read again from its start.

        Raises NoUpload or UploadRefused.
        """
        if not self.uploads or self._clock() < self._storage_rests_until:
            raise NoUpload
        asked = {"chatId": chat_id, "filename": name}  # with a size, new servers would want large files in parts
        target = target_of(await self._presign(asked))
        try:
            await put(self._client, self._root, target, name, mime, size, content)
        except Unavailable:
            self._storage_rests_until = self._clock() + STORAGE_RESTS
            raise NoUpload from None
        key = target.key or (target.fields or {}).get("key", "")
        return Uploaded(key, await self._address(chat_id, key) or target.preview_url or "")

    # ------------------------------------------------------------ the steps of an upload

    async def _presign(self, asked: dict[str, str]) -> Any:
        for path in _PRESIGN:
            try:
                return await self._call("POST", path, asked)
            except UpstreamError as error:
                refusal: Refusal = refusal_of(error.detail)
                if error.reason == "rate":
                    refusal = "rate"
                elif refusal == "failed" and error.reason in _ABSENT:
                    continue
                log.warning("app %s: an upload was refused: %s", self._app.app_id, error.reason)
                raise UploadRefused(refusal) from None
        log.warning("app %s: its server has no call for uploads; next try in %.0f s", self._app.app_id, NO_UPLOAD_LASTS)
        self._no_upload_until = self._clock() + NO_UPLOAD_LASTS
        raise NoUpload

    async def _address(self, chat_id: str, key: str) -> str:
        for path in _ADDRESS:
            try:
                url = await self._call("POST", path, {"chatId": chat_id, "key": key})
            except UpstreamError:
                continue
            return url if isinstance(url, str) else ""
        return ""

    async def _call(self, method: str, path: str, sent: dict[str, str]) -> Any:
        """``data`` of FastGPT's envelope. Raises UpstreamError."""
        sent = {"appId": self._app.app_id, **sent}
        body, query = (None, sent) if method == "GET" else (msgspec.json.encode(sent), None)
        try:
            response = await self._client.request(
                method, f"{self._root}{path}", content=body, params=query, headers=self._headers, timeout=CALL
            )
        except FAILURES as error:
            raise UpstreamError("unreachable", type(error).__name__) from None
        if response.is_success:
            try:
                envelope = msgspec.json.decode(response.content)
            except (ValueError, RecursionError):
                envelope = None
            if isinstance(envelope, dict) and "data" in envelope and envelope.get("code", 200) == 200:
                return envelope["data"]
        raise of_response(response.status_code, response.headers, response.content, time.time())
