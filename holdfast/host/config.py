"""Settings: read once at the start from files, environment and flags, checked, frozen.

A program states its settings as a frozen dataclass whose fields are values or sections (dataclasses
again). A later source wins: default, what the service manager offers, files in the order given,
environment (`PREFIX__SECTION__KEY`), flags. A directory stands for the `*.toml` files in it, by
name. Unknown keys are refused wherever they come from: a setting that is misspelt and silently not
in force is found when it is too late.

Invariant: of a `Loaded` value every setting has passed its check, and `origins` names where each
came from.
"""

import contextlib
import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from holdfast.host.config_lines import line_of
from holdfast.host.config_values import NotOfType, describe, from_text, from_value
from holdfast.host.errors import HostError

T = TypeVar("T")

EXIT_CODE = 78
"""EX_CONFIG. The unit files keep systemd from restarting on it: the same file would be refused
again."""

DEFAULT = "default"
SECRET_SHOWN = "(set, not shown)"  # noqa: S105 - stands in place of a secret


class ConfigError(HostError):
    """A setting that cannot be used; names the source, the key and what is allowed."""

    reason = "CONFIGURATION"
    exit_code = EXIT_CODE


def setting(
    default: Any = MISSING,
    *,
    check: Callable[[Any], bool] | None = None,
    allowed: str = "",
    secret: bool = False,
) -> Any:
    """A field with a rule: `check` is asked of the typed value, `allowed` says in words what
    passes.

    Without a default the setting must be given. The value of a secret is never shown, not even in
    an error.
    """
    metadata = {"check": check, "allowed": allowed, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as `config show` prints it."""

    key: str
    shown: str
    origin: str
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """The settings, and where each of them came from."""

    value: T
    rows: tuple[Row, ...]

    def origin(self, key: str) -> str:
        """Where `section.key` came from: PATH:LINE of a file, `environment NAME`, `flag` or
        `default`."""
        return next(row.origin for row in self.rows if row.key == key)

    @contextlib.contextmanager
    def naming(self, key: str) -> Iterator[None]:
        """What is refused inside the block is told with the setting and where it came from."""
        try:
            yield
        except HostError as error:
            message = f"{self.origin(key)}: {key}: {error.message}"
            raise type(error)(message, error.remedy) from None


def load(
    cls: type[T],
    *,
    prefix: str,
    files: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    offered: Mapping[str, tuple[object, str]] | None = None,
) -> Loaded[T]:
    """Reads and checks everything. Flags go by `section.key`; one that is None was not given.

    `files` must all exist: whoever looks in a default place sees first whether something is there.
    `offered` are values that stand if nobody says otherwise, each with where it comes from. Raises
    `ConfigError`.
    """
    reading = _Reading(prefix, {one.key: one for one in _settings(cls, "")})
    for key, (value, origin) in (offered or {}).items():
        reading.take_offer(key, value, origin)
    for path in files:
        for each in sorted(path.glob("*.toml")) if path.is_dir() else (path,):
            reading.take_file(each)
    reading.take_environment(env or {})
    reading.take_flags(flags or {})
    value = reading.build(cls, "")
    return Loaded(value, tuple(reading.rows()))


def keys_of(cls: type) -> tuple[str, ...]:
    """All settings of a program by `section.key`."""
    return tuple(one.key for one in _settings(cls, ""))


def provided(env: Mapping[str, str], variable: str, key: str) -> dict[str, tuple[Any, str]]:
    """The directory that a service manager made and names in a variable, offered for a setting;
    nothing without it. Of several, the first."""
    first = env.get(variable, "").partition(":")[0]
    return {key: (Path(first), f"environment {variable}")} if first else {}


@dataclass(frozen=True, slots=True)
class _Setting:
    key: str
    hint: Any
    field: "dataclasses.Field[Any]"

    @property
    def allowed(self) -> str:
        return str(self.field.metadata.get("allowed") or describe(self.hint))

    @property
    def secret(self) -> bool:
        return bool(self.field.metadata.get("secret"))

    def shown(self, value: object) -> str:
        if self.secret and value is not None:
            return SECRET_SHOWN
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def checked(self, value: Any) -> Any:
        check = self.field.metadata.get("check")
        if check is not None and value is not None and not check(value):
            raise NotOfType
        return value


def _settings(cls: type, section: str) -> Iterator[_Setting]:
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        key, hint = section + field.name, hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, key + ".")  # type: ignore[arg-type]
        else:
            yield _Setting(key, hint, field)


class _Reading:
    """What has been read so far; the later word replaces the earlier."""

    def __init__(self, prefix: str, settings: dict[str, _Setting]) -> None:
        self._prefix = prefix
        self._settings = settings
        self._found: dict[str, tuple[Any, str]] = {}

    def take_file(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            table = tomllib.loads(text)
        except OSError as error:
            raise ConfigError(
                f"{path}: {error.strerror}", "name a file that can be read"
            ) from error
        except ValueError as error:
            raise ConfigError(
                f"{path}: {error}", "correct the file: it must be TOML in UTF-8"
            ) from error
        for key, value in self._flat(table, ""):
            line = line_of(text, key)
            origin = f"{path}:{line}" if line else str(path)
            self._take(key, partial(from_value, value=value), value, origin)

    def take_offer(self, key: str, value: object, origin: str) -> None:
        self._take(key, partial(from_value, value=value), value, origin)

    def take_environment(self, env: Mapping[str, str]) -> None:
        start = self._prefix + "__"
        for name, text in env.items():
            if name.startswith(start):
                key = name.removeprefix(start).lower().replace("__", ".")
                self._take(key, partial(from_text, text=text), text, f"environment {name}")

    def take_flags(self, flags: Mapping[str, object]) -> None:
        for key, value in flags.items():
            if value is not None:
                self._take(key, partial(from_value, value=value), value, "flag")

    def build(self, cls: type[T], section: str) -> T:
        hints = get_type_hints(cls)
        given: dict[str, Any] = {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            key, hint = section + field.name, hints[field.name]
            if dataclasses.is_dataclass(hint):
                given[field.name] = self.build(hint, key + ".")  # type: ignore[arg-type]
            elif key in self._found:
                given[field.name] = self._found[key][0]
            else:
                given[field.name] = self._default(self._settings[key])
        try:
            return cls(**given)
        except ValueError as error:
            origins = {
                self._found[section + name][1] for name in given if section + name in self._found
            }
            where = ", ".join(sorted(origins)) or DEFAULT
            raise ConfigError(f"{where}: {section.rstrip('.') or 'settings'}: {error}") from error

    def rows(self) -> Iterator[Row]:
        for key, one in self._settings.items():
            value, origin = self._found[key]
            yield Row(key, one.shown(value), origin, one.allowed)

    def _flat(self, table: Mapping[str, Any], section: str) -> Iterator[tuple[str, Any]]:
        for name, value in table.items():
            key = section + name
            is_section = isinstance(value, dict) and key not in self._settings
            if is_section and any(known.startswith(key + ".") for known in self._settings):
                yield from self._flat(value, key + ".")
            else:
                yield key, value

    def _take(self, key: str, read: Callable[[Any], Any], raw: object, origin: str) -> None:
        one = self._settings.get(key)
        if one is None:
            raise _unknown(key, origin, self._settings)
        try:
            value = one.checked(read(one.hint))
        except NotOfType:
            shown = "the value given" if one.secret else repr(raw)
            raise ConfigError(
                f"{origin}: {key}: {shown} is not allowed", f"give {one.allowed}"
            ) from None
        self._found[key] = (value, origin)

    def _default(self, one: _Setting) -> Any:
        if one.field.default is not MISSING:
            value = one.field.default
        elif one.field.default_factory is not MISSING:
            value = one.field.default_factory()
        else:
            variable = f"{self._prefix}__{one.key.upper().replace('.', '__')}"
            raise ConfigError(
                f"{one.key} is not set and has no default",
                f"give {one.allowed}: as a flag, as {variable} in the environment, or in the file",
            )
        self._found[one.key] = (value, DEFAULT)
        return value


def _unknown(key: str, origin: str, known: Iterable[str]) -> ConfigError:
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
    return ConfigError(f"{origin}: {key} is not a setting", remedy)
