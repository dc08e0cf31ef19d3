"""The script in an export: it needs nothing else, and no change of any file gets past it."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.ledger import EventDraft, EventKind, Namespace, Statement, SystemKey, sign
from retrain_assets.release.signing import Signed
from retrain_assets.reports.export import script
from retrain_assets.reports.export.attestations import attested
from retrain_assets_tests.release.people import key_of, line_of
from retrain_assets_tests.reports.sample_evidence import DORA, RUTH

from .world import FIRST, SignedSample, begun, bootstrapped, exported, resign, run, run_alone, signed_contract, unpacked

UNCOVERED = ("SHA256SUMS", "SHA256SUMS.sig")


class TestTheScript:
    def test_it_is_at_most_60_lines_that_fit_a_screen(self) -> None:
        lines = script().decode().splitlines()
        assert len(lines) <= 60
        assert max(map(len, lines)) <= 130

    def test_it_holds_in_a_clean_directory_from_another_one_isolated_and_without_site_packages(
        self, pristine: Path, signed_home: SignedSample, tmp_path: Path
    ) -> None:
        said = run_alone(pristine, cwd=tmp_path)
        assert (said.code, said.error) == (0, "")
        assert all(line.startswith("holds  ") for line in said.lines)
        fingerprint = key_of(RUTH.name).get_fingerprint()
        number = signed_home.event(EventKind.APPROVED).sequence
        assert f"holds  event {number}, approved by '{RUTH.name}': signed with {fingerprint}" in said.lines

    def test_it_runs_on_python_3_9(self, pristine: Path) -> None:
        python = next(iter(sorted(Path("/root/.pyenv/versions").glob("3.9.*/bin/python"))), None)
        found = str(python) if python else shutil.which("python3.9")
        if found is None or subprocess.run([found, "-V"], capture_output=True, check=False).returncode:
            pytest.skip("there is no Python 3.9 here")
        assert run_alone(pristine, python=found).code == 0

    def test_sha256sum_holds_as_well(self, pristine: Path) -> None:
        done = subprocess.run(
            ["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=pristine, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, b"")

    def test_the_fingerprint_it_is_given_must_be_the_systems(self, pristine: Path, signed_home: SignedSample) -> None:
        key = SystemKey.open(signed_home.home.system_key_path)
        said = run(pristine, key.fingerprint)
        assert (said.code, said.lines[1]) == (0, f"holds  the system signed SHA256SUMS, its key is {key.fingerprint}")
        assert run(pristine).lines[1].endswith("; compare it"), "nothing in the archive can say that it is theirs"
        assert run(pristine, "SHA256:" + "A" * 43).faults == [f"the system signed SHA256SUMS, its key is {key.fingerprint}"]


class TestWhatIsChanged:
    def test_each_of_300_random_changes_of_one_file_is_found(self, folder: Path) -> None:
        draw = random.Random(7)
        names = [name for name in files(folder) if name not in ("verify.py", "bundle/empty.json", *UNCOVERED)]
        for _ in range(300):
            name = draw.choice(names)
            data = (folder / name).read_bytes()
            change = draw.choice([flipped, shortened, lengthened, removed, replaced])
            change(folder / name, data, draw)
            said = run(folder)
            assert said.code == 1, (name, change.__name__)
            assert said.error.startswith("This is NOT what was recorded"), said.error
            assert any(name in line for line in said.lines)
            (folder / name).write_bytes(data)
        assert run(folder).code == 0

    def test_each_file_that_is_taken_out_is_found(self, folder: Path) -> None:
        for name in files(folder):
            if name != "verify.py":
                data = (folder / name).read_bytes()
                (folder / name).unlink()
                assert run(folder).code == 1, name
                (folder / name).write_bytes(data)

    def test_each_byte_of_the_sums_signature_counts(self, tmp_path: Path) -> None:
        world = begun(tmp_path / "home")
        world.launch("2013-07-01", {"kind": "person"})
        folder = unpacked(exported(world), tmp_path)
        assert run(folder).code == 0
        file = folder / "SHA256SUMS.sig"
        data = file.read_bytes()
        for place, byte in enumerate(data):
            head = 40 < place < 48
            for other in ({ord("A"), ord(" "), ord("\n"), byte ^ 1} if head else {byte ^ 1}) - {byte}:
                file.write_bytes(data[:place] + bytes([other]) + data[place + 1 :])
                assert run(folder).code == 1, (place, other)
        for changed in (data[:-1], data + b"\n", data.replace(b"\n", b"\r\n"), data * 2, b""):
            file.write_bytes(changed)
            assert run(folder).code == 1

    def test_random_changes_of_the_sums_are_found(self, folder: Path) -> None:
        draw, file = random.Random(8), folder / "SHA256SUMS"
        data = file.read_bytes()
        for change in [flipped, shortened, lengthened, replaced] * 10:
            change(file, data, draw)
            assert run(folder).code == 1, change.__name__
        file.unlink()
        assert run(folder).code == 1

    def test_a_changed_script_is_found_by_sha256sum(self, folder: Path) -> None:
        (folder / "verify.py").write_text("print('holds  everything')\n")
        command = ["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"]
        assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1

    def test_an_added_file_and_a_link_are_found(self, folder: Path) -> None:
        for name in ("more.txt", "approvals/999.json", "new/file", "a\nb"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"")
            assert run(folder).code == 1, name
            (folder / name).unlink()
        (folder / "linked").symlink_to(folder / "README.md")
        assert run(folder).code == 1

    def test_two_files_that_changed_places_are_found(self, folder: Path) -> None:
        one, other = (folder / name for name in ("pack.json", "custody.json"))
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        assert "custody.json" in "".join(run(folder).lines)


class TestWhatTheSystemItselfCannotForge:
    """Whoever has the system's key makes new sums. What is bound to the ledger and to people is found all the same."""

    @pytest.mark.parametrize(
        ("name", "old", "new", "fault"),
        [
            ("events.jsonl", b'"outcome":"pass"', b'"outcome":"fail"', "events are in that ledger"),
            ("inclusion.json", b"left", b"right", "events are in that ledger"),
            ("checkpoint.json", b'"sequence":', b'"sequence":1', "the system signed its ledger"),
            ("contract.json", b'"required":1', b'"required":0', "the contract"),
            ("allowed_signers", b"ruth", b"rolf", "whose signatures count"),
            ("bundle/model.txt", b"leaf 1", b"leaf 3", "files of the model"),
            ("bundle/manifest.json", b'"seed":7', b'"seed":8', "files of the model"),
            ("decision.dsse", b'"promote"', b'"reject"', "attested the decision"),
            ("decision.dsse.json", b'"payload":"', b'"payload":"AAAA', "attested the decision"),
            ("provenance.dsse", b"gitCommit", b"gitcommit", "attested the provenance"),
        ],
    )
    def test_a_changed_file_with_new_sums(
        self, folder: Path, signed_home: SignedSample, name: str, old: bytes, new: bytes, fault: str
    ) -> None:
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1))
        resign(folder, system_key(signed_home))
        said = run(folder)
        assert said.code == 1
        assert fault in said.faults[0]

    def test_evidence_that_is_changed_or_gone(self, folder: Path, signed_home: SignedSample) -> None:
        piece = next((folder / "evidence").iterdir())
        piece.write_bytes(piece.read_bytes() + b" ")
        resign(folder, system_key(signed_home))
        assert "pieces of evidence" in run(folder).faults[0]
        piece.unlink()
        resign(folder, system_key(signed_home))
        assert "pieces of evidence" in run(folder).faults[0]

    def test_an_approval_that_says_more_than_was_signed(self, folder: Path, signed_home: SignedSample) -> None:
        statement = folder / f"{approval(signed_home)}.json"
        statement.write_bytes(statement.read_bytes().replace(b'"reason":"cost', b'"reason":"Cost'))
        resign(folder, system_key(signed_home))
        assert f"approved by '{RUTH.name}'" in run(folder).faults[0]

    def test_an_approval_whose_signature_is_anothers_or_for_something_else(self, folder: Path, signed_home: SignedSample) -> None:
        statement, signature = (folder / f"{approval(signed_home)}.json{end}" for end in ("", ".sig"))
        system = system_key(signed_home)
        for person, namespace in ((DORA.name, Namespace.APPROVE), (RUTH.name, Namespace.OPERATE)):
            signature.write_text(sign(statement.read_bytes(), key_of(person), namespace))
            resign(folder, system)
            assert "signed with no key of theirs" in run(folder).faults[0]
        signature.write_text(system.sign(statement.read_bytes(), Namespace.APPROVE))
        resign(folder, system)
        assert "signed with no key of theirs" in run(folder).faults[0]

    def test_an_attestation_about_another_model(self, folder: Path, signed_home: SignedSample) -> None:
        system = system_key(signed_home)
        statement = json.loads(base64.b64decode(json.loads((folder / "decision.dsse.json").read_bytes())["payload"]))
        statement["subject"][0]["digest"]["sha256"] = "0" * 64
        for name, data in attested("decision", statement, system):
            (folder / name).write_bytes(data)
        resign(folder, system)
        assert run(folder).faults == ["the system attested the decision"]

    def test_another_statement_that_the_person_did_sign(self, folder: Path, signed_home: SignedSample) -> None:
        file = folder / f"{approval(signed_home)}.json"
        statement = replace(Statement.from_json(json.loads(file.read_bytes())), reason="not what the event says")
        file.write_bytes(statement.bytes)
        file.with_suffix(".json.sig").write_text(sign(statement.bytes, key_of(RUTH.name), Namespace.APPROVE))
        resign(folder, system_key(signed_home))
        assert f"approved by '{RUTH.name}'" in run(folder).faults[0]

    def test_an_approval_that_is_taken_out(self, folder: Path, signed_home: SignedSample) -> None:
        for end in ("json", "json.sig"):
            (folder / f"{approval(signed_home)}.{end}").unlink()
        resign(folder, system_key(signed_home))
        assert "signed, as it must be" in run(folder).faults[0]

    def test_another_system_key_is_not_one_the_ledger_names(self, folder: Path, tmp_path: Path) -> None:
        other = SystemKey.open(tmp_path / "keys" / "other")
        first, _, people = (folder / "allowed_signers").read_text().partition("\n")
        (folder / "allowed_signers").write_text(" ".join([*first.split()[:2], *other.public_line.split()[:2]]) + "\n" + people)
        checkpoint = (folder / "checkpoint.json").read_bytes()
        (folder / "checkpoint.json.sig").write_text(other.sign(checkpoint, Namespace.CHECKPOINT))
        resign(folder, other)
        said = run(folder)
        assert said.faults == ["the events name the system's key and the contract"]
        assert said.lines[1] == f"holds  the system signed SHA256SUMS, its key is {other.fingerprint}; compare it"

    def test_a_contract_that_is_called_withheld_does_not_make_another_key_a_persons(
        self, folder: Path, signed_home: SignedSample
    ) -> None:
        """The event says with which key the person signed; a contract of one's own cannot say otherwise."""
        mine, theirs = line_of(DORA.name).split()[-1], line_of(RUTH.name).split()[-1]
        for name in ("allowed_signers", "contract.json"):
            data = (folder / name).read_text()
            (folder / name).write_text(data.replace(theirs, mine))
        withheld = json.loads((folder / "withheld.json").read_bytes())
        (folder / "withheld.json").write_text(json.dumps({**withheld, "contract": ["notify"]}))
        statement = folder / f"{approval(signed_home)}.json"
        statement.with_suffix(".json.sig").write_text(sign(statement.read_bytes(), key_of(DORA.name), Namespace.APPROVE))
        resign(folder, system_key(signed_home))
        said = run(folder)
        assert said.code == 1
        assert f"approved by '{RUTH.name}': signed with {key_of(DORA.name).get_fingerprint()}" in said.faults[0]


@pytest.mark.parametrize("about", [{"ledger": "0" * 64}, {"retrain": "2013-05-01"}, {"subject": {"version": "7"}}], ids=str)
def test_a_signature_given_for_something_else_counts_for_nothing(tmp_path: Path, about: dict[str, Any]) -> None:
    world = bootstrapped(tmp_path / "home")
    said = world.event(EventKind.CHAMPION_BOOTSTRAPPED, FIRST)
    statement = replace(Statement.from_json(said.payload["signed"]["statement"]), **about)
    signed = Signed(statement, sign(statement.bytes, key_of(RUTH.name), Namespace.APPROVE)).to_json("")
    again = EventDraft(said.at, said.actor, said.kind, said.model, said.reason, FIRST, payload={**said.payload, "signed": signed})
    number = world.ledger.append(again).sequence
    assert run(unpacked(exported(world, FIRST), tmp_path)).faults == [
        f"event {number}, champion_bootstrapped by '{RUTH.name}': signed with {key_of(RUTH.name).get_fingerprint()}"
    ]


@pytest.mark.parametrize(
    ("principal", "options"),
    [
        (RUTH.name, 'valid-after="20130101Z",valid-before="20140101Z"'),
        (RUTH.name.capitalize(), ""),
        ("ruth.*@flights.example", 'namespaces="approve@retrain-assets"'),
    ],
    ids=["a key that has expired since", "a name in capitals", "a pattern of names"],
)
def test_it_reads_the_people_s_lines_as_the_contract_does(tmp_path: Path, principal: str, options: str) -> None:
    people = line_of(principal, options, key=RUTH.name) + "\n"
    approvers = {"approvers": [RUTH.name], "allowed_signers": people}
    world = bootstrapped(tmp_path / "home", contract=signed_contract(approval=approvers))
    folder = unpacked(exported(world, FIRST), tmp_path)
    said = run(folder)
    assert (said.code, said.error) == (0, "")
    (command,) = [line.strip() for line in (folder / "README.md").read_text().splitlines() if "-Y verify" in line]
    subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, check=True)


def approval(world: SignedSample) -> str:
    return f"approvals/{world.event(EventKind.APPROVED).sequence:03}"


def system_key(world: SignedSample) -> SystemKey:
    return SystemKey.open(world.home.system_key_path)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def flipped(file: Path, data: bytes, draw: random.Random) -> None:
    place = draw.randrange(len(data))
    file.write_bytes(data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :])


def shortened(file: Path, data: bytes, draw: random.Random) -> None:
    file.write_bytes(data[: draw.randrange(len(data))])


def lengthened(file: Path, data: bytes, draw: random.Random) -> None:
    file.write_bytes(data + draw.randbytes(1))


def replaced(file: Path, data: bytes, draw: random.Random) -> None:
    place = draw.randrange(len(data))
    file.write_bytes(data[:place] + bytes([(data[place] + draw.randrange(1, 256)) % 256]) + data[place + 1 :])


def removed(file: Path, data: bytes, draw: random.Random) -> None:
    file.unlink()
