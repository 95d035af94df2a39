"""What an app says about itself (``core/chat/init``), as far as the bridge needs it.

Rules of this file: pure; a field that is missing, null or of another type is unknown, and what is unknown is permitted:
servers of every age are met, and the app itself still has the last word on a file.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

FileSort = Literal["image", "file", "audio", "video"]
"""What FastGPT tells apart; everything that is no picture, sound or film is a ``file``."""


class FileRules(msgspec.Struct, frozen=True):
    """Which files an app takes (FastGPT's ``fileSelectConfig``)."""

    image: bool = True
    file: bool = True
    audio: bool = True
    video: bool = True
    extensions: tuple[str, ...] = ()
    """Endings (``.eml``) that are taken besides."""
    most: int = 0
    """Files in one question; 0 = unknown."""

    def takes(self, sort: FileSort, extension: str) -> bool:
        return bool(getattr(self, sort)) or extension.lower() in self.extensions


class Settings(msgspec.Struct, frozen=True):
    """``welcome`` may hold lines like ``[a quick question]``; empty = none."""

    welcome: str = ""
    files: FileRules = FileRules()


def settings_of(data: object) -> Settings:
    """The settings in the ``data`` of an init call, whatever its shape."""
    config = _dict(_dict(_dict(data).get("app")).get("chatConfig"))
    welcome = config.get("welcomeText")
    return Settings(welcome if isinstance(welcome, str) else "", _rules(_dict(config.get("fileSelectConfig"))))


def _rules(config: dict[str, Any]) -> FileRules:
    def permitted(key: str) -> bool:
        return config.get(key) is not False

    listed = config.get("customFileExtensionList")
    if not isinstance(listed, list) or not permitted("canSelectCustomFileExtension"):
        listed = []
    most = config.get("maxFiles")
    return FileRules(
        image=permitted("canSelectImg"),
        file=permitted("canSelectFile"),
        audio=permitted("canSelectAudio"),
        video=permitted("canSelectVideo"),
        extensions=tuple(f".{item.strip().lstrip('.').lower()}" for item in listed if isinstance(item, str)),
        most=int(most) if isinstance(most, int | float) and not isinstance(most, bool) and most >= 1 else 0,
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
