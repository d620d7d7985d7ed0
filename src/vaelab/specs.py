"""One printable form for every part: ``name:option=value,option=value``.

The same text stands in a flag (``--prior mixture:components=20``), in a TOML file and in ``config.json``; a registry
maps the name to a function or class, whose keyword-only parameters are the options. So a new part needs no new flag and
no new configuration key.

Values are integers, floats, ``true``/``false``, words, or tuples of them joined by ``/`` (``channels=32/64``).
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from vaelab.errors import UsageError

T = TypeVar("T")
Value = int | float | bool | str | tuple[int | float | bool | str, ...]


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the nearest known names, or all of them.

    >>> nearest("mnits", ["mnist", "digits"])
    'did you mean mnist?'
    >>> nearest("zzz", ["mnist", "digits"])
    'known: digits, mnist'
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(names)}"


def choice(what: str, value: str, known: Iterable[str]) -> None:
    """Raise `UsageError` where ``value`` is none of the known words."""
    if value not in (words := tuple(known)):
        raise UsageError(f"unknown {what} {value!r}; {nearest(value, words)}")


@dataclass(frozen=True)
class Spec:
    """A part's name and its options.

    >>> Spec.parse("mixture:components=20")
    Spec(name='mixture', options={'components': 20})
    >>> str(Spec("conv", {"channels": (32, 64), "bias": True}))
    'conv:channels=32/64,bias=true'
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read ``name:option=value,…``; raises `UsageError` where the text has another form."""
        name, _, rest = text.partition(":")
        name = name.strip()
        if not name:
            raise UsageError(f"expected NAME or NAME:option=value,…, got {text!r}")
        options: dict[str, Value] = {}
        for item in filter(None, (piece.strip() for piece in rest.split(","))):
            key, equals, value = item.partition("=")
            if not equals or not key.strip():
                raise UsageError(f"expected option=value in {text!r}, got {item!r}")
            if key.strip() in options:
                raise UsageError(f"the option {key.strip()!r} stands twice in {text!r}")
            options[key.strip()] = _read_value(value.strip())
        return cls(name, options)

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}:" + ",".join(f"{key}={_write_value(value)}" for key, value in self.options.items())


def _read_value(text: str) -> Value:
    if "/" in text:
        pieces = [piece for piece in text.split("/") if piece]
        return tuple(_read_scalar(piece) for piece in pieces)
    return _read_scalar(text)


def _read_scalar(text: str) -> int | float | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _write_value(value: Value) -> str:
    if isinstance(value, tuple):
        # A trailing slash keeps a tuple of one (or none) a tuple when it is read again.
        joined = "/".join(_write_value(item) for item in value)
        return joined if len(value) > 1 else f"{joined}/"
    return str(value).lower() if isinstance(value, bool) else str(value)


class Registry(Generic[T]):
    """Names → functions or classes that build one kind of part; options are their keyword-only parameters."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._makers: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorator that adds a maker under ``name``."""

        def add(maker: Callable[..., T]) -> Callable[..., T]:
            self._makers[name] = maker
            return maker

        return add

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._makers)

    def options(self, name: str) -> dict[str, Any]:
        """Option → default value, of one name."""
        parameters = inspect.signature(self.maker(name)).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def maker(self, name: str) -> Callable[..., T]:
        """The function or class under ``name``; raises `UsageError` naming the nearest ones."""
        if name not in self._makers:
            raise UsageError(f"unknown {self.kind} {name!r}; {nearest(name, self._makers)}")
        return self._makers[name]

    def name_of(self, part: T) -> str:
        """The name under which the class of ``part`` stands; the class's own where it stands under none."""
        names = (name for name, maker in self._makers.items() if maker is type(part))
        return next(names, type(part).__name__)

    def check(self, spec: Spec) -> None:
        """Raise `UsageError` where the name or an option is unknown, or an option is missing or of a wrong type."""
        known = self.options(spec.name)
        for key, value in spec.options.items():
            if key not in known:
                hint = nearest(key, known) if known else "it has no options"
                raise UsageError(f"{self.kind} {spec.name!r} has no option {key!r}; {hint}")
            _check_type(f"option {key!r} of {self.kind} {spec.name!r}", value, known[key])
        for key, default in known.items():
            if default is inspect.Parameter.empty and key not in spec.options:
                raise UsageError(f"{self.kind} {spec.name!r} needs the option {key!r}; write {spec.name}:{key}=VALUE")

    def build(self, spec: Spec, /, *args: Any) -> T:
        """Call the maker with ``args`` and the spec's options."""
        self.check(spec)
        maker = self.maker(spec.name)
        known = self.options(spec.name)
        try:
            return maker(*args, **{key: _coerce(value, known[key]) for key, value in spec.options.items()})
        except ValueError as error:
            raise UsageError(f"{self.kind} {str(spec)!r}: {error}") from error


def _check_type(what: str, value: Value, default: Any) -> None:
    if default is None or default is inspect.Parameter.empty or _fits(_coerce(value, default), default):
        return
    raise UsageError(f"{what}: expected a value like {_write_value(default)}, got {_write_value(value)}")


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        # Items are compared with the default's first; an empty default says nothing of them.
        return isinstance(value, tuple) and all(_fits(item, default[0]) for item in value if default)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, int | float if isinstance(default, float) else type(default))


def _coerce(value: Value, default: Any) -> Any:
    return (value,) if isinstance(default, tuple) and not isinstance(value, tuple) else value
