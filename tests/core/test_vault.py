"""Envelopes, keys and the type that hides a secret: all without a database."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from dataclasses import replace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core.exceptions import VaultError
from core.vault import (
    Sealed,
    SealedColumn,
    Secret,
    fingerprint,
    new_key,
    read_keys,
    rewrap,
    seal,
    unseal,
)

OLD, NEW = new_key("old"), new_key("new")
RING = read_keys(OLD)
BOTH = read_keys(f"{NEW},{OLD}")
ONLY_NEW = read_keys(NEW)
PLACE = SealedColumn("credential", "row-1", "ciphertext")
VALUE = "correct horse battery staple"


@given(st.text())
def test_what_is_sealed_can_be_unsealed_in_its_place(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert unseal(seal(Secret(text), PLACE, RING), PLACE, RING).reveal() == text


def test_the_same_secret_is_never_sealed_the_same_way_twice() -> None:
    sealed = {seal(Secret(VALUE), PLACE, RING).ciphertext for _ in range(20)}
    assert len(sealed) == 20
    assert not any(VALUE in text or base64.b64encode(VALUE.encode()).decode() in text
                   for text in sealed)  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        replace(PLACE, row_id="row-2"),
        replace(PLACE, table="credential_token"),
        replace(PLACE, field="token"),
        SealedColumn("credentialrow-1", "", "ciphertext"),
    ],
)
def test_an_envelope_that_was_moved_does_not_open(other: SealedColumn) -> None:
    sealed = seal(Secret(VALUE), PLACE, RING)
    with pytest.raises(VaultError, match="cannot be decrypted"):
        unseal(sealed, other, RING)


def test_an_envelope_with_any_byte_changed_does_not_open() -> None:
    sealed = seal(Secret(VALUE), PLACE, RING)
    data = base64.b64decode(sealed.ciphertext.removeprefix("v1."))
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        text = "v1." + base64.b64encode(bytes(changed)).decode()
        with pytest.raises(VaultError):
            unseal(Sealed(text, sealed.key_id), PLACE, RING)


@pytest.mark.parametrize("text", ["", "v1.", "v1.@@", "v2.AAAA", "v1." + "A" * 40, "nonsense"])
def test_what_is_no_envelope_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(VaultError, match="Set it again"):
        unseal(Sealed(text, RING.current), PLACE, RING)


def test_a_key_under_another_name_does_not_open() -> None:
    sealed = seal(Secret(VALUE), PLACE, RING)
    renamed = read_keys("other:" + OLD.partition(":")[2])
    with pytest.raises(VaultError, match="cannot be decrypted"):
        unseal(replace(sealed, key_id="other"), PLACE, renamed)


def test_a_missing_key_is_named() -> None:
    sealed = seal(Secret(VALUE), PLACE, RING)
    with pytest.raises(VaultError, match=f"The key '{RING.current}' is not among CREDENTIAL_KEYS"):
        unseal(sealed, PLACE, ONLY_NEW)


def test_rewrapping_changes_the_key_and_not_the_secret() -> None:
    sealed = seal(Secret(VALUE), PLACE, RING)
    moved = rewrap(sealed, PLACE, BOTH)
    assert (moved.key_id, sealed.key_id) == (BOTH.current, RING.current)
    assert unseal(moved, PLACE, ONLY_NEW).reveal() == VALUE
    with pytest.raises(VaultError):
        unseal(moved, PLACE, RING)


def test_rewrapping_refuses_what_cannot_be_read() -> None:
    sealed = seal(Secret(VALUE), PLACE, RING)
    damaged = replace(sealed, ciphertext=sealed.ciphertext[:-6] + "AAAA==")
    with pytest.raises(VaultError):
        rewrap(damaged, PLACE, BOTH)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "CREDENTIAL_KEYS is not set"),
        (" , ", "CREDENTIAL_KEYS is not set"),
        ("novalue", "is not base64 of 32 bytes"),
        ("a:c2hvcnQ=", "is not base64 of 32 bytes"),
        ("a:!!!!", "is not base64 of 32 bytes"),
        (":" + "A" * 43, "has no usable id"),
        ("a b:" + "A" * 43, "has no usable id"),
        (f"a:{'A' * 43},a:{'B' * 43}", "two keys with the id 'a'"),
    ],
)
def test_keys_that_cannot_be_read_are_refused_without_showing_them(
    text: str, sentence: str
) -> None:
    with pytest.raises(VaultError, match=sentence) as caught:
        read_keys(text)
    assert "c2hvcnQ=" not in str(caught.value)


def test_the_first_key_is_current_and_no_key_is_shown() -> None:
    ring = read_keys(f"{NEW}, {OLD}")
    assert ring.current == NEW.partition(":")[0]
    assert ring.current in ring
    for text in (NEW, OLD):
        assert text.partition(":")[2] not in repr(ring)
    assert str(ring.key(ring.current)) not in repr(ring)


def test_a_fingerprint_depends_on_the_text_the_row_and_the_key() -> None:
    first = fingerprint("secret", ring=RING, context="row-1")
    assert first == fingerprint("secret", ring=RING, context="row-1")
    others = {
        fingerprint("Secret", ring=RING, context="row-1"),
        fingerprint("secret", ring=RING, context="row-2"),
        fingerprint("secret", ring=ONLY_NEW, context="row-1"),
    }
    assert len({first, *others}) == 4
    assert len(first) == 16


# --- Hiding ---


def test_nothing_shows_a_secret_but_reveal() -> None:
    secret = Secret(VALUE)
    holder = {"secret": secret, "list": [secret]}
    shown = [
        repr(secret), str(secret), f"{secret}", f"{secret:>9}", "%s %r" % (secret, secret),  # noqa: UP031
        repr(holder), str(ValueError(secret)), repr(ValueError("x", secret)),
        repr(copy.copy(secret)), repr(copy.deepcopy(holder)), str(vars(type(secret))),
    ]  # fmt: skip
    assert not any(VALUE in text for text in shown)
    assert shown[0] == "***"
    assert secret.reveal() == VALUE
    assert not hasattr(secret, "__dict__")


def test_a_secret_is_neither_pickled_nor_serialised() -> None:
    secret = Secret(VALUE)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        json.dumps({"a": secret})


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a")
    assert not Secret("")


def test_logging_a_secret_hides_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE)
    logging.getLogger("x").error("a %s %r", secret, {"b": secret})
    structlog.get_logger("y").error("event", secret=secret)
    rendered = structlog.processors.JSONRenderer()(None, "", {"secret": secret})
    assert VALUE not in caplog.text
    assert VALUE not in str(rendered)
