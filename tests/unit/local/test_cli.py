"""Every failure is one message and exit code 1; standard output has only the requested result."""

import json
from pathlib import Path

import pytest

from local.cli import main
from local.deploy import sources_fingerprint
from local.emulator.cdk import telling_lines
from local.emulator.processes import start_of
from operations.cli import main as operations_main


def test_stopping_when_nothing_runs_reports_so_and_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", str(tmp_path), "down"]) == 0
    assert "Nothing runs." in capsys.readouterr().err


def test_a_token_is_the_whole_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", str(tmp_path), "token", "--operator", "--ttl", "-5"]) == 0
    out = capsys.readouterr().out
    assert out.count(".") == 2
    assert len(out.split()) == 1


def test_an_unknown_permission_is_refused_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--state-dir", str(tmp_path), "token", "--merchant", "m", "--permissions", "payment"]
    assert main(asked) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "payment." in captured.err
    assert "refunds" in captured.err


def test_a_command_without_a_stack_fails_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", str(tmp_path), "tick", "resolver"]) == 1
    assert "make up" in capsys.readouterr().err


def test_a_redrive_without_a_stack_fails_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operations_main(["--state-dir", str(tmp_path), "redrive", "--dry-run"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, "make up" in captured.err) == ("", True)


def test_an_invalid_port_fails_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", str(tmp_path / "s"), "up", "--port", "http"]) == 1
    assert "PORT='http'" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_lost_emulator_explains_whatever_error_it_caused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ministack.json").write_text(
        json.dumps({"pid": 2**22 + 1, "started": "long ago", "port": 4566})
    )
    assert start_of(2**22 + 1) is None

    def lost(*_: object) -> None:
        raise ConnectionError("reset by peer")

    monkeypatch.setattr("local.stackfile.require_stack", lost)
    assert main(["--state-dir", str(tmp_path), "tick", "resolver"]) == 1
    assert "The AWS emulator stopped unexpectedly" in capsys.readouterr().err


def test_an_internal_error_stays_visible_while_the_emulator_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("local.stackfile.require_stack", broken)
    with pytest.raises(ZeroDivisionError):
        main(["--state-dir", str(tmp_path), "tick", "resolver"])


def test_a_failed_deployment_shows_the_lines_with_the_reason(tmp_path: Path) -> None:
    log = tmp_path / "cdk-deploy.log"
    log.write_text("building\n\x1b[31mdata | CREATE_FAILED | Alias 'x' is bad\x1b[0m\n\nbye\n")
    assert telling_lines(log) == "    data | CREATE_FAILED | Alias 'x' is bad"


def test_a_log_without_errors_shows_its_end(tmp_path: Path) -> None:
    log = tmp_path / "cdk-deploy.log"
    log.write_text("".join(f"step {n}\n" for n in range(100)))
    assert telling_lines(log).endswith("step 99")


def test_a_changed_source_requires_a_new_deployment_and_bytecode_does_not(tmp_path: Path) -> None:
    package = tmp_path / "runtime"
    (package / "__pycache__").mkdir(parents=True)
    (package / "errors.py").write_text("A = 1")
    before = sources_fingerprint(tmp_path)
    (package / "__pycache__" / "errors.pyc").write_text("x")
    assert sources_fingerprint(tmp_path) == before
    (package / "errors.py").write_text("A = 2")
    assert sources_fingerprint(tmp_path) != before


def test_another_stripe_address_requires_a_new_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIPE_API_BASE", raising=False)
    before = sources_fingerprint(tmp_path)
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:12112")
    assert sources_fingerprint(tmp_path) != before
