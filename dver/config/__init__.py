"""Settings: what they are called, where they are kept, and which of several values holds.

`.dver/config.toml` is committed and shared; `.dver/config.local.toml` belongs to one clone, is ignored by git and
alone may hold secrets. Overrides, which the caller took from the environment or the command line, win over the
local file, that over the committed one, and that over the defaults. A file is refused for an unknown name or a
wrong type rather than half understood. No message shows a text value, for it may be a secret in the wrong place.
"""

from dver.config.editing import (
    add_remote,
    remove_remote,
    set_default_remote,
    set_fingerprint,
    set_remote_option,
    set_value,
    unset_value,
)
from dver.config.files import COMMITTED_FILE, LOCAL_FILE, committed_problems
from dver.config.keys import (
    SETTINGS,
    STORE_OPTIONS,
    Kind,
    Link,
    Setting,
    Value,
    check_chunk_size,
    find_setting,
    parse_size,
)
from dver.config.settings import ListedValue, RemoteSettings, Settings, get_value, list_values, load_settings
from dver.config.urls import resolve_url

__all__ = [
    "COMMITTED_FILE",
    "LOCAL_FILE",
    "SETTINGS",
    "STORE_OPTIONS",
    "Kind",
    "Link",
    "ListedValue",
    "RemoteSettings",
    "Setting",
    "Settings",
    "Value",
    "add_remote",
    "check_chunk_size",
    "committed_problems",
    "find_setting",
    "get_value",
    "list_values",
    "load_settings",
    "parse_size",
    "remove_remote",
    "resolve_url",
    "set_default_remote",
    "set_fingerprint",
    "set_remote_option",
    "set_value",
    "unset_value",
]
