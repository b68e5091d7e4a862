"""Conversion of frozen dataclasses to JSON objects and back, with every value checked against its annotation."""

from __future__ import annotations

import math
import types
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from dsm.errors import ProtocolError

T = TypeVar("T")


def to_fields(record: Any) -> dict[str, Any]:
    """Turn a dataclass into a JSON object; tuples become lists, records inside become objects.

    Args:
        record: A dataclass instance of str, bool, int, float, None, enums of str, tuples of these, and dataclasses.
    """
    return {field.name: _to_plain(getattr(record, field.name)) for field in fields(record)}


def from_fields(cls: type[T], values: Mapping[str, Any], *, where: str = "") -> T:
    """Build a dataclass from a JSON object. Unknown keys are ignored, missing ones take their default.

    Args:
        cls: A dataclass; its annotations say what is accepted.
        values: The parsed JSON object.
        where: Name of the object in messages, e.g. `"segment.prompts[0]"`.

    Raises:
        ProtocolError: If a value is missing, of another type, not finite, or a tuple has another length.
    """
    where = where or cls.__name__
    hints = _hints(cast(Hashable, cls))
    arguments: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]  # T is a dataclass; typing has no public bound for that
        if field.name in values:
            arguments[field.name] = _from_plain(hints[field.name], values[field.name], f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ProtocolError(f"{where} lacks the field '{field.name}'.")
    return cls(**arguments)


@cache
def _hints(cls: Hashable) -> dict[str, Any]:
    return get_type_hints(cls)


def _to_plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_fields(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    return value


def _from_plain(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):  # only "X | None" is used
        if value is None:
            return None
        (hint,) = (option for option in get_args(hint) if option is not type(None))
        return _from_plain(hint, value, where)
    if origin is tuple:
        return _tuple(get_args(hint), value, where)
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise _mismatch(where, "an object", value)
        return from_fields(hint, value, where=where)  # type: ignore[arg-type]  # narrowed to a class by its use
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is Literal:
        return _one_of(get_args(hint), value, where)
    if issubclass(hint, Enum):
        return hint(_one_of([member.value for member in hint], value, where))
    if hint is float:
        return _float(value, where)
    # bool is a subclass of int in Python, but `true` is no number of voxels.
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _mismatch(where, _NAMES[hint], value)
    return value


def _one_of(known: Sequence[Any], value: Any, where: str) -> Any:
    if value not in known:
        raise ProtocolError(f"{where} must be one of {', '.join(map(repr, known))}.")
    return value


def _tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _mismatch(where, "a list", value)
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise ProtocolError(f"{where} has {len(value)} items; {len(items)} are needed.")
    return tuple(
        _from_plain(item, one, f"{where}[{index}]") for index, (item, one) in enumerate(zip(items, value, strict=True))
    )


def _float(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mismatch(where, _NAMES[float], value)
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise ProtocolError(f"{where} is not a finite number.")
    return number


_NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def _mismatch(where: str, wanted: str, value: Any) -> ProtocolError:
    return ProtocolError(f"{where} must be {wanted}, not {type(value).__name__}.")
