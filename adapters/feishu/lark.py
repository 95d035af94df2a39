"""The leaf modules of lark-oapi that we use, without the package around them.

Rules of this file:
- a plain ``import lark_oapi`` costs 6 s of CPU and 165 MB, and so does any module below it: its parents import all of
  it. Empty stand-ins for four parents let the frame codec (a protobuf of its own) and the event cipher load alone, in
  0.1 s;
- the stand-ins stay: the codec imports by absolute name at its first use. Any other name below ``lark_oapi`` is an
  ImportError or AttributeError that says so. What needs the whole package takes a process of its own;
- where somebody has imported the whole package before, that is used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

PACKAGE = "lark_oapi"
STAND_INS = (PACKAGE, f"{PACKAGE}.ws", f"{PACKAGE}.core", f"{PACKAGE}.core.utils")
LEAVES = (f"{PACKAGE}.ws.pb", f"{PACKAGE}.core.const", f"{PACKAGE}.core.utils.decryptor")


class Cipher(Protocol):
    """lark-oapi's AESCipher: AES-256-CBC by the Encrypt Key of the developer console."""

    def decrypt_str(self, enc: str) -> str:
        """The text within base64(IV + ciphertext). Raises ValueError when it was made with another key, or broken."""
        ...


def frame_type() -> Any:
    """The protobuf class of a frame of the long connection."""
    return _leaf("ws.pb.pbbp2_pb2").Frame


def cipher(encrypt_key: str) -> Cipher:
    """What decrypts the events that Feishu posts. Loads pycryptodome."""
    found: Cipher = _leaf("core.utils.decryptor").AESCipher(encrypt_key)
    return found


def _leaf(name: str) -> ModuleType:
    if PACKAGE not in sys.modules and not any(isinstance(finder, _Leaves) for finder in sys.meta_path):
        spec = importlib.util.find_spec(PACKAGE)  # which looks, and imports nothing
        if spec is None or not spec.submodule_search_locations:
            raise ImportError(f"{PACKAGE} is not installed", name=PACKAGE)
        sys.meta_path.insert(0, _Leaves(Path(spec.submodule_search_locations[0])))
    return importlib.import_module(f"{PACKAGE}.{name}")


class _Leaves(MetaPathFinder, Loader):
    """Makes the stand-ins, lets the leaves through to Python's own finder, and refuses the rest."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in STAND_INS:
            spec = ModuleSpec(fullname, self, is_package=True)
            spec.submodule_search_locations = [str(self._root.joinpath(*fullname.split(".")[1:]))]
            return spec
        if fullname.startswith(f"{PACKAGE}.") and not fullname.startswith(LEAVES):
            raise ImportError(_refusal(fullname), name=fullname)
        return None

    def exec_module(self, module: ModuleType) -> None:
        def missing(name: str) -> Any:
            raise AttributeError(_refusal(f"{module.__name__}.{name}"), name=name, obj=module)

        module.__dict__["__getattr__"] = missing


def _refusal(name: str) -> str:
    return f"{name} is not loaded: this process has stand-ins for most of {PACKAGE}, see {__name__}"
