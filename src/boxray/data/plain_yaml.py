"""YAML with nothing in it but values: small, one document, no tags, aliases or repeated keys."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxray.errors import FormatError, MissingExtra

if TYPE_CHECKING:
    from yaml import SafeLoader

MAX_BYTES = 1 << 20
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")


def read_yaml(path: Path) -> dict[Any, Any]:
    """The keys and values of a YAML file, as plain Python values.

    What YAML 1.1 guesses is not guessed: a number that is not written in plain decimal digits
    (010, 0x1f, 12:30) is refused. Raises FormatError saying where, MissingExtra without PyYAML.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtra("reading YAML needs PyYAML: pip install 'boxray[data]'") from error
    text = _text(path)
    try:
        document = yaml.load(text, _loader())  # noqa: S506  a safe loader, made stricter
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise FormatError(f"{path}: {place}{problem}.") from error
    except RecursionError as error:
        raise FormatError(f"{path} is nested too deeply.") from error
    except ValueError as error:  # a number or date that Python refuses
        raise FormatError(f"{path}: {error}.") from error
    if not isinstance(document, dict):
        raise FormatError(f"{path} holds no keys and values, expected `names:` and the like.")
    return document


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(f"{path} is larger than {MAX_BYTES >> 20} MB.")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8: byte {error.start} cannot be read.") from error


def _loader() -> type[SafeLoader]:
    """PyYAML's safe loader, without aliases, repeated keys and guessed numbers."""
    from yaml import AliasEvent, MappingNode, Node, SafeLoader, ScalarNode
    from yaml.constructor import ConstructorError

    class Loader(SafeLoader):
        def compose_node(self, parent: Node | None, index: Any) -> Node | None:
            if self.check_event(AliasEvent):
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise ConstructorError(None, None, "aliases (*name) are refused", mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen = set()
            for key, _ in node.value:
                name = getattr(key, "value", None)
                if not isinstance(name, str) or name in seen:
                    problem = f"the key {str(name)[:40]!r} is given twice or is none"
                    raise ConstructorError(None, None, problem, key.start_mark)
                seen.add(name)
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: ScalarNode) -> int:
            if not _DECIMAL.fullmatch(node.value):
                problem = f"{node.value!r} is a number only to YAML: quote it, or write digits"
                raise ConstructorError(None, None, problem, node.start_mark)
            return int(node.value)

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    return Loader
