"""config.yaml -> bridge.config, or a list of faults, one readable line each.

Rules of this file:
- ``${NAME}``, ``${NAME:-default}`` and ``${file:/path}`` are expanded in string values after parsing: a secret with a
  colon or a hash in it cannot change the file's structure;
- every fault is collected, with the path of its key; an unknown key names the nearest known one;
- a platform's own options are its adapter's struct: this file knows no platform.
"""

from __future__ import annotations

import difflib
import os
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from bridge.config import Bot, Config, ConfigError
from bridge.configcheck import faults

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_VARIABLE = re.compile(r"\$\{(file:)?([^}:]+)(?::-([^}]*))?\}")

Platforms = Mapping[str, type[msgspec.Struct]]
"""Platform name -> the options struct of its adapter; looked up only for platforms that the file names."""


def load(path: Path, platforms: Platforms) -> Config:
    """Read and check the file. Raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; copy config.yaml.example and edit it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    return parse(text, platforms, os.environ)


def parse(text: str, platforms: Platforms, environment: Mapping[str, str]) -> Config:
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with fewer types
    except yaml.YAMLError as error:  # never its own text: that quotes the line, and a key may stand there
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"not valid YAML: {where}{problem or 'a character that is not allowed'}") from None
    if not isinstance(raw, dict):
        raise ConfigError("the file is empty; copy config.yaml.example and edit it")
    reader = _Reader(platforms, environment)
    config = reader.config(raw)
    if reader.faults or config is None:
        raise ConfigError(*reader.faults)
    return config


class _Loader(yaml.SafeLoader):
    """YAML without its 1.1 surprises: ``off``, ``no`` and ``12:30`` stay the strings they look like."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] in ("null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Reader:
    """Walks the raw values along the structs. Scalars arrive as the strings that were written."""

    def __init__(self, platforms: Platforms, environment: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._platforms = platforms
        self._environment = environment

    def config(self, raw: dict[Any, Any]) -> Config | None:
        config: Config | None = self._struct(Config, raw, "")
        if config is not None:
            self.faults += [f"{path}: {message}" for path, message in faults(config)]
        return config

    def _fault(self, path: str, message: str) -> None:
        self.faults.append(f"{path}: {message}" if path else message)

    # ------------------------------------------------------------ structs

    def _struct(self, kind: Any, raw: Any, path: str) -> Any:
        if kind is Bot:
            return self._bot(raw, path)
        return self._fill(kind, raw, path, _hints(kind))

    def _bot(self, raw: Any, path: str) -> Bot | None:
        """A bot's keys are those of every bot and those of its platform."""
        platform = self._expand(raw.get("platform", ""), path) if isinstance(raw, dict) else ""
        if platform not in self._platforms:
            known = ", ".join(self._platforms)
            self._fault(f"{path}.platform", f"{platform!r} is not a platform; known are {known}")
            return None
        options = self._platforms[platform]
        own, common = _hints(options), _hints(Bot)
        del common["options"]
        before = len(self.faults)
        self._unknown(raw, {**common, **own}, path)
        filled = self._fill(options, {k: v for k, v in raw.items() if k in own}, path, own)
        bot: Bot | None = self._fill(Bot, {k: v for k, v in raw.items() if k in common}, path, common)
        return msgspec.structs.replace(bot, options=filled) if bot and len(self.faults) == before else None

    def _fill(self, kind: Any, raw: Any, path: str, hints: dict[str, Any]) -> Any:
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            self._fault(path, "a section with keys is expected here")
            return None
        before = len(self.faults)
        self._unknown(raw, hints, path)
        values = {}
        required = {f.name for f in msgspec.structs.fields(kind) if f.required}
        for name, hint in hints.items():
            where = f"{path}.{name}" if path else name
            if raw.get(name) is not None:
                values[name] = self._value(hint, raw[name], where)
            if name in required and values.get(name) in (None, "") and len(self.faults) == before:
                self._fault(where, "is missing" if name not in raw else "is empty")
        if len(self.faults) > before:
            return None
        try:
            return kind(**values)
        except ValueError as error:  # a struct's own __post_init__
            self._fault(path, str(error))
            return None

    def _unknown(self, raw: dict[Any, Any], known: Mapping[str, Any], path: str) -> None:
        for name in raw:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
                self._fault(f"{path}.{name}" if path else str(name), f"is not a key{hint}")

    # ------------------------------------------------------------ values

    def _value(self, hint: Any, raw: Any, path: str) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return self._struct(hint, raw, path)
        if origin is dict:
            return self._mapping(arguments[1], raw, path)
        if origin is list:
            items = raw if isinstance(raw, list) else [raw]
            values = [self._value(arguments[0], item, f"{path}[{n}]") for n, item in enumerate(items)]
            return [value for value in values if value != ""]
        if isinstance(raw, (dict, list)):
            return self._fault(path, "a single value is expected here")
        text = self._expand(raw, path)
        if origin is Literal:
            if text in arguments:
                return text
            return self._fault(path, f"{str(raw)!r} is not one of {', '.join(arguments)}")
        return self._scalar(hint, text, str(raw), path)

    def _mapping(self, hint: Any, raw: Any, path: str) -> Any:
        if not isinstance(raw, dict):
            return self._fault(path, "a section with names is expected here")
        if hint is not str:
            for name in raw:
                if not NAME.fullmatch(str(name)):
                    self._fault(f"{path}.{name}", "a name is a-z, 0-9, _ and -, begins with a letter, at most 32 long")
            if not raw:
                self._fault(path, "is empty")
        return {str(name): self._value(hint, value, f"{path}.{name}") for name, value in raw.items()}

    def _scalar(self, hint: Any, text: str, written: str, path: str) -> Any:
        """``written`` is what a fault may show: the value before its variables, which may be secrets, were put in."""
        if hint is str:
            return text
        if hint is bool:
            if text.lower() in ("true", "yes", "on", "1"):
                return True
            if text.lower() in ("false", "no", "off", "0", ""):
                return False
            return self._fault(path, f"{written!r} is neither true nor false")
        try:
            number = hint(text)
        except ValueError:
            return self._fault(path, f"{written!r} is not a{' whole' if hint is int else ''} number")
        return number if 0 <= number < float("inf") else self._fault(path, f"{written} is out of range")

    def _expand(self, raw: Any, path: str) -> str:
        text = "" if raw is None else str(raw)

        def value(match: re.Match[str]) -> str:
            is_file, name, default = match.groups()
            if is_file:
                try:
                    return Path(name).read_text("utf-8").strip()
                except OSError as error:
                    self._fault(path, f"${{file:{name}}}: {error.strerror or error}")
                    return "?"
                except UnicodeDecodeError:
                    self._fault(path, f"${{file:{name}}}: is not UTF-8 text")
                    return "?"
            found = self._environment.get(name) or default
            if found is None:
                self._fault(path, f"the environment variable {name} is not set (or write ${{{name}:-default}})")
                return "?"
            return found

        return _VARIABLE.sub(value, text)


def _hints(kind: Any) -> dict[str, Any]:
    """Field name -> type, with ``X | None`` read as X."""
    hints = typing.get_type_hints(kind)
    for name, hint in hints.items():
        if isinstance(hint, types.UnionType):
            hints[name] = next(part for part in typing.get_args(hint) if part is not type(None))
    return hints
