"""Trust: which places of this repository's settings dver may sign in to from this machine."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from dver.config import load_settings, resolve_url
from dver.config.trust import Place, TrustedPlaces, place_of
from dver.errors import ConfigError
from dver.repo import Repo

T = TypeVar("T")

_CACHE = "cache"
_REMOTES = "remotes"


def trust_remote(repo: Repo, name: str | None = None) -> Place | None:
    """Trust the place of a remote, without a name that of the default one; None if it needs no trust.

    Raises:
        ConfigError: there is no such remote.
    """
    remote = load_settings(repo.dver_dir).remote(name)
    return _trust(repo, place_of(resolve_url(remote.url, repo.root), remote.options))


def trust_cache(repo: Repo) -> Place | None:
    """Trust the place that the settings name for the cache; None if it needs no trust.

    Raises:
        ConfigError: they name none.
    """
    if load_settings(repo.dver_dir).cache_dir is None:
        raise ConfigError("the cache is in .dver, and needs no trust", hint="dver config set cache.dir PATH moves it")
    return _trust(repo, _place(repo, "cache.dir"))


def trust_new(trusted: TrustedPlaces, url: str) -> None:
    """Trust a place that the user has just named, though not the options that the settings may add to it."""
    place = place_of(url, {})
    if place is not None:
        trusted.add(place)


def keeping_trust(repo: Repo, key: str, change: Callable[[], T]) -> T:
    """Change a setting of a remote or the cache, and trust its place afterwards if it was trusted before.

    Where there was no place before, one is trusted that comes from this setting alone. A place that the user never
    agreed to is not trusted for a change to something else about it.
    """
    was_there, was_trusted = _state(repo, key)
    result = change()
    after = None
    with suppress(ConfigError):
        after = _place(repo, key)
    if after is not None and (was_trusted if was_there else not after.options):
        repo.trusted.add(after)
    return result


def _state(repo: Repo, key: str) -> tuple[bool, bool]:
    """Return whether there is a place that a setting is about, and whether it is trusted."""
    try:
        place = _place(repo, key)
    except ConfigError:
        # The change may be what puts it right, and says nothing about the rest.
        return True, False
    return place is not None, place is not None and repo.trusted.knows(place)


def _trust(repo: Repo, place: Place | None) -> Place | None:
    if place is not None:
        repo.trusted.add(place)
    return place


def _place(repo: Repo, key: str) -> Place | None:
    """Return the place that a setting is about, as settings have it now; None if there is none.

    Raises:
        ConfigError: the settings are broken.
    """
    section, _, rest = key.partition(".")
    name = rest.rpartition(".")[0]
    settings = load_settings(repo.dver_dir)
    if section == _REMOTES and name in settings.remotes:
        remote = settings.remotes[name]
        return place_of(resolve_url(remote.url, repo.root), remote.options)
    if section == _CACHE and settings.cache_dir is not None:
        return place_of(resolve_url(settings.cache_dir, repo.root), settings.cache_options)
    return None
