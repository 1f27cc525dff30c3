"""Masking of what looks like a secret in a command, its parameters and its tags, before any of it is recorded.

Told by names (`--password=…`, `PGPASSWORD=…`), by well-known shapes (access keys of clouds, tokens of services, private
keys), and by their place (what stands before the host in URLs, headers such as `X-Api-Key`, `-u NAME:PASSWORD`). A word
that is masked by mistake costs little; a secret in git costs much, so doubtful cases are masked. What a shell takes
from a variable is no secret.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dver.records.record import Scalar

MASK = "***"

# Names that end so are those of secrets, whatever they begin with; others only as words of their own.
_WORD = (
    r"(?:[a-z0-9_.-]*(?:password|passwd|passphrase|secret|api[_-]?key|(?:auth|access)token|sshpass)"
    r"|(?:[a-z0-9_.-]*[_.-])?(?:pwd|pw|token|bearer|access[_-]?key(?:[_-]?id)?|secret[_-]?key|private[_-]?key"
    r"|account[_-]?key|credentials?|signature|sig|(?:db|user|admin|root|ftp|smtp|mail|proxy)[_-]?pass))"
)
_HEADER = rf"(?:x-(?:[a-z0-9]+-)*(?:key|token|secret|auth)|(?:[a-z0-9]+-)*(?:api-?key|subscription-key)|{_WORD}(?=:\s))"
_VALUE = r"\"(?!\$)[^\"]+\"|'[^']+'|[^\s\"'&;|$][^\s\"'&;|]*"
_BEGIN = r"(?<![a-z0-9_.-])"
_OPTION_TEXT = rf"--?(?:{_WORD}|auth)"
# Letters that are often written before it in one word, as in `curl -sSu`; a number for both is a user and a group.
_USER_TEXT = r"(?:--(?:proxy-)?user|-[fsSLkviIO]*[uU])"
_LOGIN_TEXT = r"(?!\d+:\d+(?![^\s\"']))[^\s:\"'$/]+:(?!//)"
_NAME = re.compile(_WORD, re.IGNORECASE)
_OPTION = re.compile(_OPTION_TEXT, re.IGNORECASE)
_USER_OPTION = re.compile(_USER_TEXT)
_LOGIN = re.compile(rf"(?P<keep>{_LOGIN_TEXT})[^$].*", re.DOTALL)
_COOKIE_OPTION = re.compile(r"--cookie|-b")
_COOKIES = re.compile(r"[^\s=;$/]+=[^\s=$][^$]*")
# A word that is nothing but a name and its value, whatever letters that has.
_NAMED_WORD = re.compile(
    rf"(?P<keep>{_OPTION_TEXT}=)(?![\"']?\$).+|(?P<variable>{_WORD}=)(?![\"']?\$)\S+", re.IGNORECASE | re.DOTALL
)
_PATTERNS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (rf"(?P<keep>{_BEGIN}(?:--?)?{_WORD}=(?!=))(?:{_VALUE})", re.IGNORECASE),
        (rf"(?P<keep>{_BEGIN}{_WORD}\s+=\s*)(?:\"(?!\$)[^\"]+\"|'[^']+')", re.IGNORECASE),
        (rf"(?P<keep>{_BEGIN}{_OPTION_TEXT}\s+)(?!-)(?:{_VALUE})", re.IGNORECASE),
        (rf"(?P<keep>(?:{_BEGIN}--?|[?&])auth=)(?:{_VALUE})", re.IGNORECASE),
        (rf"(?P<keep>[\"']{_WORD}[\"']\s*:\s*)(?:{_VALUE})", re.IGNORECASE),
        (rf"(?P<keep>(?<!\S){_USER_TEXT}(?:=|\s+|(?<=-u))[\"']?{_LOGIN_TEXT})[^\s\"'$][^\s\"']*", 0),
        (r"(?P<keep>(?:^|[^a-z0-9])https?://)(?!git@)[^/\s:@$\"']+(?=(?::|:x-oauth-basic)?@)", re.IGNORECASE),
        (r"(?P<keep>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@$][^/\s\"']*(?=@)", re.IGNORECASE),
        (r"(?P<keep>authorization:\s*(?:[a-z]+\s+)?)[^\s\"'$][^\s\"']*", re.IGNORECASE),
        (rf"(?P<keep>(?:(?<![a-z0-9_./-])|(?<=-H)){_HEADER}:\s*)[^\s\"'$][^\s\"']*", re.IGNORECASE),
        (r"(?P<keep>\bcookie:\s*)[^\s\"';$][^\s\"';]*(?:;\s*[^\s\"';]+)*", re.IGNORECASE),
        (r"(?P<keep>(?<!\S)(?:--cookie(?:=|\s+)|-b\s+)[\"']?[^\s=;$/\"']+=)[^\s\"';$][^\s\"';]*(?:;\s*[^\s\"';]+)*", 0),
        (r"(?P<keep>\bbearer\s+)[^\s\"'$][^\s\"']{7,}", re.IGNORECASE),
        (r"(?P<keep>)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", 0),
        (r"(?P<keep>)\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|sk-)[A-Za-z0-9_-]{16,}", 0),
        (r"(?P<keep>)\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+", 0),
        (r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]+", 0),
    )
)


@dataclass(frozen=True, slots=True)
class Masked:
    """What may be recorded.

    Attributes:
        found: what was masked, for people: where it was, never what it said.
        decides: whether something of it decides the result of the run, so that no other run can be told to be the same.
        name: of the step.
    """

    command: tuple[str, ...]
    params: dict[str, Scalar]
    tags: dict[str, str]
    found: tuple[str, ...]
    decides: bool
    name: str = ""


def mask(command: Sequence[str], params: Mapping[str, Scalar], tags: Mapping[str, str], *, name: str = "") -> Masked:
    """Return a command, parameters, tags and the name of a step without what looks like a secret."""
    masked_command = _mask_command(command)
    masked_params = {key: _mask_value(key, value) for key, value in params.items()}
    masked_tags = {key: str(_mask_value(key, value)) for key, value in tags.items()}
    in_command = [_shown(new) for old, new in zip(command, masked_command, strict=True) if old != new]
    in_params = [f"parameter {key}" for key, value in params.items() if masked_params[key] != value]
    in_tags = [f"tag {key}" for key, value in tags.items() if masked_tags[key] != value]
    masked_name = _mask_text(name)
    in_name = [f"name {_shown(masked_name)}"] if masked_name != name else []
    found = (*in_command, *in_params, *in_tags, *in_name)
    return Masked(masked_command, masked_params, masked_tags, found, bool(in_command or in_params), masked_name)


def _mask_command(command: Sequence[str]) -> tuple[str, ...]:
    # One word alone may be a line for a shell, in which a value ends before the line does.
    return tuple(
        _mask_word(word, before) if len(command) > 1 else _mask_text(word)
        for before, word in zip(("", *command), command, strict=False)
    )


def _mask_word(word: str, before: str) -> str:
    """Mask a word by the option in the word before it, or by what is in it."""
    if _OPTION.fullmatch(before) and word and not word.startswith(("-", "$")):
        return MASK
    if _COOKIE_OPTION.fullmatch(before) and _COOKIES.fullmatch(word):
        return MASK
    login = _LOGIN.fullmatch(word) if _USER_OPTION.fullmatch(before) else None
    if login is not None:
        return login["keep"] + MASK
    named = _NAMED_WORD.fullmatch(word)
    if named is not None:
        return (named["keep"] or named["variable"]) + MASK
    return _mask_text(word)


def _mask_value(name: str, value: Scalar) -> Scalar:
    """Mask by the last part of a name, or by what the value looks like; numbers and truth values are no secrets."""
    if not isinstance(value, str) or not value:
        return value
    own_name = name.rpartition(":")[2]
    return MASK if _NAME.fullmatch(own_name) else _mask_text(value)


def _mask_text(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<keep>{MASK}", text)
    return text


def _shown(word: str) -> str:
    """Return a masked word, shortened around its mask."""
    at = word.find(MASK)
    start = max(0, at - 40)
    return ("…" if start else "") + word[start : at + len(MASK)] + ("…" if len(word) > at + len(MASK) else "")
