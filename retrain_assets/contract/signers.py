"""Who may sign, as an OpenSSH allowed-signers file says it (``ssh-keygen(1)``). Parsed; nothing is verified here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

KEY_TYPES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
"""Types of public keys that may sign."""

_OPTION = re.compile(r'(?P<name>[a-z-]+)(="(?P<value>[^"]*)")?', re.IGNORECASE)
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class AllowedSigner:
    """One line of an allowed-signers file.

    Args:
        principals: patterns of whom the key signs for, ``*`` and ``?`` as wildcards, ``!`` before one that is excluded.
        key_type: OpenSSH name of its type.
        key: the public key's bytes.
        namespaces: patterns of what it may sign; empty: everything.
        valid_after: from when its signatures count (UTC).
        valid_before: until when.
    """

    principals: tuple[str, ...]
    key_type: str
    key: bytes
    namespaces: tuple[str, ...] = ()
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
        return fingerprint_of(self.key)

    def names(self, principal: str) -> bool:
        """Whether it signs for somebody; people are compared without case, as everywhere in the contract."""
        return _matches(compared(principal), tuple(compared(one) for one in self.principals))

    def refusal(self, namespace: str, at: datetime) -> str | None:
        """Why a signature in a namespace at a time does not count; None where it does."""
        if self.namespaces and not _matches(namespace, self.namespaces):
            return f"the key may sign {', '.join(self.namespaces)}, not {namespace}"
        if self.valid_after is not None and at < self.valid_after:
            return f"the key signs from {self.valid_after:%Y-%m-%d %H:%M} UTC on"
        if self.valid_before is not None and at >= self.valid_before:
            return f"the key signed until {self.valid_before:%Y-%m-%d %H:%M} UTC"
        return None


def allowed_signers(text: str) -> tuple[AllowedSigner, ...]:
    """The lines of an allowed-signers file; comments and empty lines are left out.

    Raises:
        ValueError: naming the line that is none, or that names a certificate authority, which is not supported.
    """
    return tuple(_parsed(text))


def compared(person: str) -> str:
    """A person's name as people are compared: without case, and however its characters are encoded (Unicode NFKC)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", person).strip().casefold())


def fingerprint_of(key: bytes) -> str:
    """``SHA256:…`` of a public key's bytes."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _parsed(text: str) -> Iterator[AllowedSigner]:
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            _require_shown(line.removesuffix("\r"))
            if line.strip() and not line.lstrip().startswith("#"):
                yield _signer(line.strip())
        except ValueError as error:
            raise ValueError(f"line {number} of allowed_signers: {error}") from None


def _require_shown(line: str) -> None:
    """What a reader does not see, such as a line end that only some programs take for one, could hide a key."""
    if hidden := next((one for one in line if not one.isprintable() and one != "\t"), None):
        raise ValueError(f"it has a character that is not shown (U+{ord(hidden):04X}); take it out")


def _signer(line: str) -> AllowedSigner:
    if "PRIVATE KEY" in line:
        raise ValueError("this is a private key, which belongs to its owner alone; name the public one, from the .pub file")
    principals, rest = _first_word(line)
    options, rest = _options(rest)
    words = rest.split()
    if len(words) < 2 or words[0] not in KEY_TYPES:
        raise ValueError(
            "write PRINCIPAL KEYTYPE KEY, such as ann@example.org ssh-ed25519 AAAA… (a line of ssh-add -L after a name)"
        )
    try:
        key = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        raise ValueError("the key is not base64; copy it whole from the .pub file") from None
    if key[4 : 4 + len(words[0])] != words[0].encode() or int.from_bytes(key[:4], "big") != len(words[0]):
        raise ValueError(f"the key is not one of type {words[0]}; copy it whole from the .pub file")
    if "cert-authority" in options:
        raise ValueError("certificate authorities are not supported; name the key of each person")
    if not _patterns(principals):
        raise ValueError("it names nobody; write the principal before the key")
    if "namespaces" in options and not _patterns(options["namespaces"]):
        raise ValueError('its namespaces are empty; write such as namespaces="git", or leave them out')
    return AllowedSigner(
        principals=_patterns(principals),
        key_type=words[0],
        key=key,
        namespaces=_patterns(options.get("namespaces", "")),
        valid_after=_time(options.get("valid-after")),
        valid_before=_time(options.get("valid-before")),
    )


def _first_word(line: str) -> tuple[str, str]:
    if line.startswith('"'):
        word, _, rest = line[1:].partition('"')
        return word, rest.strip()
    word, *rest_of_line = line.split(maxsplit=1)
    return word, "".join(rest_of_line)


def _options(rest: str) -> tuple[dict[str, str], str]:
    """The options before the key type; none where the line goes on with a key type."""
    options: dict[str, str] = {}
    if rest.split(maxsplit=1)[:1] and rest.split(maxsplit=1)[0] in KEY_TYPES:
        return options, rest
    while (found := _OPTION.match(rest)) is not None and found["name"].lower() in _KNOWN_OPTIONS:
        if found["name"].lower() in options:
            raise ValueError(f"it says {found['name']} twice")
        options[found["name"].lower()] = found["value"] or ""
        rest = rest[found.end() :]
        if not rest.startswith(","):
            break
        rest = rest[1:]
    if options and not rest[:1].isspace():
        raise ValueError("between its options and the type of the key is no space")
    return options, rest.strip()


_KNOWN_OPTIONS = frozenset({"cert-authority", "namespaces", "valid-after", "valid-before"})


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    digits = text.removesuffix("Z")
    try:
        moment = datetime.strptime(digits, _TIMES[len(digits)]).replace(tzinfo=UTC)
    except (KeyError, ValueError):
        raise ValueError(f"{text!r} is not a time; write YYYYMMDDZ or YYYYMMDDHHMMZ") from None
    if digits == text:
        raise ValueError(f"{text!r} would be another time on another machine; write {text}Z, which is UTC")
    return moment


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """As OpenSSH matches a list of patterns: one that is excluded is no match, whatever else matches."""
    if any(one.startswith("!") and _like(name, one[1:]) for one in patterns):
        return False
    return any(_like(name, one) for one in patterns if not one.startswith("!"))


def _like(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]"))
