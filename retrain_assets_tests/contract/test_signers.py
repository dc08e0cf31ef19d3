"""Allowed-signers files: read as OpenSSH reads them, kept beside a contract or in it, and what is no such file is refused."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from retrain_assets.cli.contracts import contract_of
from retrain_assets.contract import Approval, Contract, ContractError, SignatureError, allowed_signers
from retrain_assets.contract.duties import refuse_barred, stakes
from retrain_assets.ledger import Namespace, sign, verified
from retrain_assets_tests.cli.world import ATTRIBUTES, MODEL, write_project
from retrain_assets_tests.release.people import key_of, line_of
from retrain_assets_tests.release.world import CONTRACT

ANN, BOB = "ann@example.org", "bob@example.org"
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def approval(**values: Any) -> Approval:
    return Approval.model_validate({"approvers": [ANN], "valid_for": "2d", **values})


LINES = {
    "one key": (line_of(ANN), True),
    "a comment and an empty line": (f"# people\n\n{line_of(ANN)}", True),
    "a comment after the key": (f"{line_of(ANN)} ann's laptop", True),
    "several people": (line_of(ANN).replace(ANN, f"{BOB},{ANN}"), True),
    "a quoted list": (line_of(ANN).replace(ANN, f'"{BOB},{ANN}"'), True),
    "a wildcard": (line_of(ANN).replace(ANN, "*@example.org"), True),
    "a question mark": (line_of(ANN).replace(ANN, "an?@example.org"), True),
    "somebody else": (line_of(BOB, key=ANN), False),
    "all but her": (line_of(ANN).replace(ANN, f"*,!{ANN}"), False),
    "a bracket, which is no pattern": (line_of(ANN).replace(ANN, "[a]nn@example.org"), False),
    "her namespace": (line_of(ANN, 'namespaces="approve@retrain-assets"'), True),
    "namespaces by pattern": (line_of(ANN, 'namespaces="git,*@retrain-assets"'), True),
    "another namespace": (line_of(ANN, 'namespaces="git"'), False),
    "a namespace taken out": (line_of(ANN, 'namespaces="*,!approve@retrain-assets"'), False),
    "valid": (line_of(ANN, 'valid-after="20240101Z",valid-before="20250101Z"'), True),
    "valid in any case of the option's name": (line_of(ANN, 'Valid-After="20240101Z"'), True),
    "not yet valid": (line_of(ANN, 'valid-after="20240601Z"'), False),
    "valid no more": (line_of(ANN, 'valid-before="20240501Z"'), False),
    "valid until the minute after": (line_of(ANN, 'valid-before="202405011201Z"'), True),
    "two lines, one of them good": ("\n".join((line_of(ANN, 'namespaces="git"'), line_of(ANN))), True),
    "another key of hers": (line_of(ANN, key=BOB), False),
}
"""An allowed-signers file, and whether Ann's approval of May 2024 counts by it."""


@pytest.mark.parametrize("what", sorted(LINES))
def test_what_counts_by_ssh_keygen_counts_here_and_nothing_else(tmp_path: Path, what: str) -> None:
    text, counts = LINES[what]
    armored = sign(b"a statement", key_of(ANN), Namespace.APPROVE)
    (tmp_path / "signers").write_text(text + "\n")
    (tmp_path / "sig").write_text(armored)
    command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", ANN, "-n", "approve@retrain-assets", "-s", "sig"]
    oracle = subprocess.run(
        [*command, "-Overify-time=20240501120000Z"], cwd=tmp_path, input=b"a statement", capture_output=True, check=False
    )
    assert (oracle.returncode == 0) is counts, oracle.stderr
    try:
        verified(b"a statement", armored, allowed_signers(text), ANN, Namespace.APPROVE, NOW)
        found = True
    except SignatureError:
        found = False
    assert found is counts


NO_LINES = [
    ("ann@example.org", "line 1 of allowed_signers: write PRINCIPAL KEYTYPE KEY"),
    (f"{ANN} ssh-ed25519", "write PRINCIPAL KEYTYPE KEY"),
    (f"{ANN} ssh-dss AAAA", "write PRINCIPAL KEYTYPE KEY"),
    (f"\n{ANN} ssh-ed25519 AAAA-", "line 2 of allowed_signers: the key is not base64"),
    (f"{ANN} ssh-rsa {line_of(ANN).split()[2]}", "is not one of type ssh-rsa"),
    (line_of(ANN, "cert-authority"), "certificate authorities are not supported"),
    (line_of(ANN, 'valid-after="20240101"'), "write 20240101Z, which is UTC"),
    (line_of(ANN, 'valid-before="tomorrow"'), "is not a time"),
    (line_of(ANN, 'no-touch-required="yes"'), "write PRINCIPAL KEYTYPE KEY"),
    (line_of(ANN, 'namespaces=""'), "its namespaces are empty"),
    (line_of(ANN, 'valid-before="20130101Z",valid-before="20990101Z"'), "it says valid-before twice"),
    (line_of(ANN, 'namespaces="git"').replace('"git" ', '"git"'), "is no space"),
    (line_of('""', key=ANN), "it names nobody"),
    (f"# a comment\u2028{line_of(ANN)}", "line 1 of allowed_signers: it has a character that is not shown (U.2028"),
    (f"{line_of(ANN)} ann\r{line_of(BOB)}", "a character that is not shown (U.000D"),
    ("\ufeff# saved by an editor", "a character that is not shown (U.FEFF"),
]


@pytest.mark.parametrize(("text", "message"), NO_LINES, ids=[message for _, message in NO_LINES])
def test_a_line_that_is_none_is_refused_with_its_number(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        allowed_signers(text)


def test_tabs_and_line_ends_of_windows_are_white_space() -> None:
    plain = f"{line_of(ANN)}\n{line_of(BOB)}\n"
    assert allowed_signers(plain.replace(" ", "\t").replace("\n", "\r\n")) == allowed_signers(plain)


def test_everybody_who_may_approve_or_operate_needs_a_key() -> None:
    with pytest.raises(ValidationError, match=f"there is no key of {BOB}; add a line: {BOB} ssh-ed25519"):
        approval(approvers=[ANN, BOB], allowed_signers=line_of(ANN))
    with pytest.raises(ValidationError, match=f"there is no key of {BOB}"):
        approval(operators=[BOB], allowed_signers=line_of(ANN))
    assert approval(approvers=[ANN.upper()], allowed_signers=line_of(ANN)).signed


def test_keys_are_somebodys_whatever_the_case_of_the_address() -> None:
    terms = approval(allowed_signers=line_of("Ann@Example.org", key=ANN))
    (found,) = terms.signers_of("ANN@example.ORG")
    assert found.fingerprint == key_of(ANN).get_fingerprint()


class TestAFileBesideTheContract:
    def project(self, folder: Path, name: str, **approval: Any) -> Path:
        terms = {**ATTRIBUTES["approval"], "allowed_signers": name, **approval}
        return write_project(folder, {**ATTRIBUTES, "approval": terms})

    def signers(self) -> str:
        return "\n".join(line_of(name) for name in ATTRIBUTES["approval"]["approvers"]) + "\n"

    def test_its_keys_stand_in_the_contract_and_in_its_digest(self, tmp_path: Path) -> None:
        file = self.project(tmp_path, "allowed_signers")
        keys = file.with_name("allowed_signers")
        keys.write_text(self.signers())
        first = contract_of(MODEL, tmp_path)
        assert first.approval.allowed_signers == self.signers()
        keys.write_text("# Ruth has a new laptop\n" + self.signers())
        assert contract_of(MODEL, tmp_path).digest != first.digest

    def test_it_may_be_shared_by_several_contracts(self, tmp_path: Path) -> None:
        file = self.project(tmp_path, "../allowed_signers")
        (file.parent.parent / "allowed_signers").write_text(self.signers())
        assert contract_of(MODEL, tmp_path).approval.signed

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "cannot be read (No such file or directory); put an OpenSSH allowed-signers file there"),
            ("", "holds no keys; add a line"),
            ("ann\n", "holds no keys; add a line"),
            ("nobody ssh-ed25519 x!\n", "line 1 of allowed_signers: the key is not base64"),
            (line_of("somebody@example.org") + "\n", "there is no key of ruth@example.org"),
        ],
    )
    def test_a_fault_of_it_is_told_with_file_and_line_of_the_contract(
        self, tmp_path: Path, text: str | None, message: str
    ) -> None:
        file = self.project(tmp_path, "allowed_signers")
        if text is not None:
            file.with_name("allowed_signers").write_text(text)
        with pytest.raises(ContractError) as caught:
            contract_of(MODEL, tmp_path)
        line = next(number for number, line in enumerate(file.read_text().splitlines(), 1) if "allowed_signers" in line)
        assert f"{file}:{line}: approval.allowed_signers" in caught.value.line
        assert message in caught.value.line

    def test_an_absolute_path_is_refused(self, tmp_path: Path) -> None:
        self.project(tmp_path, "/etc/allowed_signers")
        with pytest.raises(ContractError, match="is no file beside the contract"):
            contract_of(MODEL, tmp_path)

    def test_a_name_that_was_not_read_lets_nobody_sign(self) -> None:
        terms = approval(allowed_signers="allowed_signers")
        assert (terms.signed, terms.signers_of(ANN)) == (True, ())

    def test_the_text_in_the_contract_itself_is_taken_as_it_is(self, tmp_path: Path) -> None:
        file = self.project(tmp_path, self.signers())
        assert yaml.safe_load(file.read_text())["attributes"]["approval"]["allowed_signers"] == self.signers()
        assert contract_of(MODEL, tmp_path).approval.signers_of("ruth@example.org")


class TestStakes:
    def contract(self, **approval: Any) -> Contract:
        owners = {**CONTRACT["owners"], "training": "team:ml", "experiment": BOB}
        toggle = {**CONTRACT["toggle"], "owner": "team:product"}
        terms = {"approvers": [ANN], "valid_for": "3d", **approval}
        return Contract.model_validate({**CONTRACT, "owners": owners, "toggle": toggle, "approval": terms})

    def test_launchers_owners_and_members_of_owning_teams_have_one(self) -> None:
        teams = {"team:ML": [ANN.upper()], "team:product": [ANN, "eve@example.org"]}
        found = stakes(self.contract(teams=teams), f"person:{BOB}", "zoe@example.org")
        assert found == {
            BOB: "launched the retrain and owns its experiment",
            ANN: "owns its training and owns its toggle",
            "eve@example.org": "owns its toggle",
            "zoe@example.org": "owns its toggle",
        }

    def test_the_system_and_teams_nobody_is_known_of_have_none_that_counts(self) -> None:
        assert ANN not in stakes(self.contract(), "system:drift_sensor")

    def test_a_contract_under_which_nothing_could_be_promoted_is_refused(self) -> None:
        barred = self.contract(approvers=[BOB, ANN], teams={"team:product": [ANN]})
        with pytest.raises(ContractError, match=r"every approver has a stake .*name an approver who owns neither"):
            refuse_barred(barred)
        refuse_barred(self.contract(approvers=[BOB, ANN]))
        refuse_barred(self.contract(approvers=[BOB], separation_of_duties=False))


def test_a_private_key_in_the_place_of_a_public_one_is_called_one() -> None:
    with pytest.raises(ValueError, match="line 1 of allowed_signers: this is a private key, which belongs to its owner alone"):
        allowed_signers(key_of(ANN).export_private_key().decode())
