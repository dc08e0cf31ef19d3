"""Who is told: one list or a list a role, in both forms the same way back."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from retrain_assets.contract import Contract
from retrain_assets.contract.notify import Notify, Role
from retrain_assets_tests.release.world import CONTRACT

CHAT, MAIL = "${CHAT_URL}", "mailto://ops.example"


def test_a_plain_list_is_told_everything_and_stays_a_list() -> None:
    notify = Notify.model_validate([CHAT, MAIL])
    assert notify.services() == {CHAT: ("[0]", frozenset(Role)), MAIL: ("[1]", frozenset(Role))}
    assert notify.model_dump(mode="json") == [CHAT, MAIL]


def test_a_contract_that_tells_nobody_has_the_digest_it_always_had() -> None:
    without, empty = Contract.model_validate(CONTRACT), Contract.model_validate({**CONTRACT, "notify": []})
    assert without.to_json()["notify"] == []
    assert without.digest == empty.digest
    assert not without.notify


def test_a_service_of_two_roles_is_one_with_both_and_named_where_it_stands_first() -> None:
    written = {"data": [CHAT], "release": [MAIL, CHAT]}
    notify = Notify.model_validate(written)
    assert notify.services() == {
        CHAT: (".data[0]", frozenset({Role.DATA, Role.RELEASE})),
        MAIL: (".release[0]", frozenset({Role.RELEASE})),
    }
    assert notify.model_dump(mode="json") == written
    assert notify.told_of(Role.RELEASE) == [MAIL, CHAT]
    assert notify.told_of(Role.TRAINING) == []


def test_a_contract_with_roles_is_read_back_as_it_was_recorded() -> None:
    contract = Contract.model_validate({**CONTRACT, "notify": {"everything": [CHAT], "release": [MAIL]}})
    assert Contract.recorded(contract.to_json()) == contract
    assert contract.notify.told_of(Role.DATA) == [CHAT]


@pytest.mark.parametrize("written", [["T0KEN"], {"release": [MAIL, "T0KEN"]}])
def test_an_entry_that_is_no_url_is_named_by_its_place_and_not_shown(written: object) -> None:
    """It may be a token somebody pasted."""
    with pytest.raises(ValidationError) as caught:
        Notify.model_validate(written)
    fault = caught.value.errors(include_url=False, include_input=False)[0]["msg"]
    assert f"entry {1 if isinstance(written, list) else 2} is no Apprise URL" in fault
    assert "T0KEN" not in fault


def test_a_role_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="releases"):
        Notify.model_validate({"releases": [CHAT]})


def test_an_editor_is_told_both_forms() -> None:
    schema = TypeAdapter(Notify).json_schema()
    listed, by_role = schema["anyOf"]
    assert listed["type"] == "array"
    assert set(by_role["properties"]) == {"everything", *Role}
    assert all(part["description"] for part in by_role["properties"].values())


def test_a_bare_word_is_told_to_be_a_list() -> None:
    with pytest.raises(ValidationError, match=r'write a list, such as \["\$\{CHAT_URL\}"\]'):
        Contract.model_validate({**CONTRACT, "notify": CHAT})
