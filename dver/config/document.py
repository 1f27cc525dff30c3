"""Editing the text of a TOML file so that comments, order and spelling survive; the one module that imports tomlkit."""

from collections.abc import Mapping, MutableMapping
from typing import Any, TypeAlias

import tomlkit
from tomlkit.exceptions import TOMLKitError

from dver.config.keys import KeyPath, Value
from dver.errors import ConfigError

_Table: TypeAlias = MutableMapping[str, Any]


def edit_document(text: str, changes: Mapping[KeyPath, Value | None], where: str) -> str:
    """Return `text` with values set, or taken out where None; `where` names the file in errors."""
    try:
        document = tomlkit.parse(text)
        for path, value in changes.items():
            if value is None:
                _remove(document, path)
            else:
                _insert(document, path, value)
        return tomlkit.dumps(document).rstrip() + "\n"
    except (TOMLKitError, TypeError, KeyError) as exc:
        raise cannot_edit(where) from exc


def cannot_edit(where: str) -> ConfigError:
    """Return the error for a file that has to be edited by hand."""
    return ConfigError(f"{where}: is written in a way that dver cannot edit", hint=f"edit {where} by hand")


def _insert(document: tomlkit.TOMLDocument, path: KeyPath, value: Value) -> None:
    table: _Table = document
    sections, name = path[:-1], path[-1]
    for depth, section in enumerate(sections, start=1):
        if section not in table:
            table[section] = tomlkit.table(is_super_table=depth < len(sections))
        table = table[section]
    table[name] = list(value) if isinstance(value, tuple) else value


def _remove(document: tomlkit.TOMLDocument, path: KeyPath) -> None:
    """Take a value out, and the tables above it that this leaves empty of values and comments."""
    tables: list[_Table] = [document]
    for section in path[:-1]:
        tables.append(tables[-1][section])
    del tables[-1][path[-1]]
    for depth in range(len(tables) - 1, 0, -1):
        if len(tables[depth]) or "#" in tomlkit.dumps(tables[depth]):
            break
        del tables[depth - 1][path[depth - 1]]
