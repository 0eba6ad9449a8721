"""What a run folder says of itself, read without torch."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console

from boxray import ledger
from boxray.errors import FormatError, SettingError
from boxray.ledger import Resolved, Session
from boxray.verbs.runs import runs_diff, runs_list, runs_show

SESSION = Session("boxray train x", "2026-01-02T03:04:05Z", {"torch": "2.0"}, "0123456789ab", None)
VALUES = {"recipe": "grid-lite0", "batch": 8, "output": "a", "images": 12, "fingerprint": "f" * 64}


def write(folder: Path, values: dict | None = None, sessions=(SESSION,), rows=(0.5, 0.25)) -> Path:
    """A run folder without its weights."""
    folder.mkdir(parents=True)
    known = VALUES | (values or {})
    origins = {name: "user" if name == "batch" else "derived" for name in known}
    (folder / ledger.SETTINGS).write_text(Resolved(known, origins).to_json())
    text = None
    for session in sessions:
        text = ledger.with_session(text, session)
        (folder / ledger.PROVENANCE).write_text(text)
    lines = [{"step": n, "elapsed_s": 60.0 * n, "AP50": ap50} for n, ap50 in enumerate(rows, 1)]
    (folder / ledger.METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_run_is_read_whole(tmp_path):
    run = ledger.read_run(write(tmp_path / "a"))
    assert ("unfinished", 0.5, 120.0) == (run.state, run.best, run.elapsed_s)
    assert (SESSION,) == run.sessions
    (tmp_path / "a" / ledger.MODEL).touch()
    assert "stopped" == ledger.read_run(tmp_path / "a").state
    (tmp_path / "a" / ledger.REPORT).touch()
    assert "done" == ledger.read_run(tmp_path / "a").state


def test_a_resume_is_a_session_more(tmp_path):
    later = replace(SESSION, versions={"torch": "2.1"})
    run = ledger.read_run(write(tmp_path / "a", sessions=(SESSION, later)))
    assert (SESSION, later) == run.sessions


def test_a_torn_last_line_of_metrics_is_left_out(tmp_path):
    run = write(tmp_path / "a")
    with (run / ledger.METRICS).open("a") as file:
        file.write('{"step": 3, "AP')
    assert 2 == len(ledger.read_run(run).rows)


def test_runs_are_found_at_any_depth_and_listed(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "deep" / "b", rows=())
    report = runs_list(tmp_path)
    document = json.loads(json.dumps(report.to_dict()))
    assert "boxray.runs.list/1" == document["schema"]
    assert [0.5, None] == [one["best"] for one in document["runs"]]
    assert [str(tmp_path / "a"), str(tmp_path / "deep" / "b")] == [
        one["path"] for one in document["runs"]
    ]
    assert 2 == report.tables()[0].row_count


def test_one_run_is_shown_with_origins_sessions_and_validations(tmp_path):
    document = json.loads(json.dumps(runs_show(write(tmp_path / "a")).to_dict()))
    assert {"value": 8, "origin": "user"} == document["settings"]["batch"]
    assert [asdict(SESSION)] == document["sessions"]
    assert [1, 2] == [row["step"] for row in document["validations"]]


def test_what_differs_is_named_and_where_it_lies_is_no_difference(tmp_path):
    other = replace(SESSION, versions={"torch": "2.1"}, source="ba9876543210")
    a, b = write(tmp_path / "a"), write(tmp_path / "b", {"batch": 16, "output": "b"}, (other,))
    document = runs_diff([a, b]).to_dict()
    assert {
        "batch": [8, 16],
        "version of torch": ["2.0", "2.1"],
        "boxray's source": ["0123456789ab", "ba9876543210"],
    } == document["differences"]
    assert {} == runs_diff([a, a]).to_dict()["differences"]
    with pytest.raises(SettingError, match="takes two runs or more"):
        runs_diff([a])


def test_a_value_that_a_resume_did_not_change_keeps_its_origin():
    then = Resolved({"batch": 8, "epochs": 1.0, "priors": [[1, 2]]}, dict.fromkeys(
        ("batch", "epochs", "priors"), "derived"
    ))  # fmt: skip
    asked = {"batch": 8, "epochs": 2.0, "priors": ((1, 2),)}
    now = Resolved(asked, dict.fromkeys(asked, "user")).over(then)
    assert {"batch": "derived", "epochs": "user", "priors": "derived"} == now.origins
    assert asked == now.values


@pytest.mark.parametrize("broken", ["settings", "provenance"])
def test_what_is_no_run_is_refused(tmp_path, broken):
    with pytest.raises(FormatError, match="is no run folder"):
        runs_show(tmp_path)
    run = write(tmp_path / "a")
    (run / f"{broken}.json").write_text('{"sessions": [{}]}')
    with pytest.raises(FormatError, match=f"{broken}.json is not a run's {broken}"):
        runs_show(run)


def test_this_session_knows_its_versions_and_code():
    found = ledger.this_session()
    assert {"python", "boxray", "numpy"} <= found.versions.keys()
    assert 12 == len(found.source)
    assert found.commit is None or 40 == len(found.commit)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""),
        (False, "no"),
        (0.002, "0.002"),
        (["cat", "dog"], "cat, dog"),
        ([[[8.25, 10.5]], 3], "((8.25, 10.5)), 3"),
    ],
)
def test_a_setting_is_shown_as_people_write_it(tmp_path, value, said):
    run = write(tmp_path / "a", {"cache": value})
    console = Console(width=200)
    with console.capture() as captured:
        console.print(runs_show(run).tables()[1])
    (line,) = (line for line in captured.get().splitlines() if line.strip().startswith("cache"))
    assert ["cache", *said.split(), "derived"] == line.split()
