"""The command line: all mistakes at once, what a replay says that counted nothing, help."""

import json
import re
import sqlite3

import pytest

from harness import ROOT, Streamobs, run

CONFIG = """
[stream.requests]
time = "event_time"
fields = { service = "string", latency_ms = "float" }
required = ["service", "latency_ms"]
check = { positive = "latency_ms >= 0" }

[window.per_service]
size = "1m"
by = ["service"]
select = { n = "count(*)" }
"""

BROKEN = """treads = 2

[stream.requests]
time = "event_time"
fields = { service = "strng", latency_ms = "float" }
derive = { slow = "latency_ms > ", slower = "slow and latency_ms > 100" }

[window.per_service]
size = "1 minute"
by = ["service"]
select = { n = "count(*)", slow_ones = "count(*) filter (where slow)", x = "cont(*)" }

[rule.r]
on = "per_service"
when = "n > 1 and slow_ones > nn"

[incidents]
evidence = ["per_servce"]
"""

MISTAKES = [
    "1:1: error: unknown key \"treads\" at the top level",
    "5:22: error: field service: there is no type \"strng\"",
    "6:33: error: the expression ends here, but a value is missing",
    "9:8: error: size: \"1 minute\" is not a duration",
    "11:77: error: there is no aggregate function cont",
    "15:31: error: there is no column nn",
    "18:14: error: evidence: there is no window \"per_servce\"",
]


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("command", [["validate"], [], ["replay", "events.ndjson"]])
def test_every_command_tells_all_mistakes_in_one_round(tmp_path, command):
    config = write(tmp_path / "obs.toml", BROKEN)
    done = run(*command, "--config", config, "--data-dir", tmp_path / "data", check=False,
               cwd=tmp_path)
    assert done.returncode == 78
    told = [line.removeprefix(f"{config}:") for line in done.stderr.splitlines()
            if ": error:" in line or ": warning:" in line]
    assert told == MISTAKES
    assert not (tmp_path / "data").exists()


def test_arguments_are_checked_in_the_same_round(tmp_path):
    config = write(tmp_path / "obs.toml", BROKEN)
    done = run("validate", "--config", config, "--listen", "nowhere", check=False)
    assert done.returncode == 78
    assert "--listen" in done.stderr and "15:31" in done.stderr
    done = run("replay", "--config", config, "--format", "xml", "f", check=False)
    assert "--format xml" in done.stderr and "15:31" in done.stderr


def examples():
    """The configs in the docs that are whole ones."""
    found = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for i, text in enumerate(re.findall(r"^```toml\n(.*?)^```", document.read_text(),
                                            re.S | re.M)):
            if "[stream." in text and "[window." in text and "fields" in text:
                found.append(pytest.param(text, id=f"{document.name}-{i}"))
    return found


@pytest.mark.parametrize("text", examples())
def test_whole_configs_in_the_docs_are_valid(tmp_path, text):
    done = run("validate", "--deny-warnings", "--config", write(tmp_path / "obs.toml", text),
               check=False)
    assert done.returncode == 0, done.stderr


def test_web_toml_of_the_docs_counts_an_access_log(tmp_path):
    text = next(p.values[0] for p in examples() if "access_log" in p.values[0])
    config = write(tmp_path / "web.toml", text)
    log = write(tmp_path / "access.log",
                '10.0.0.1 - - [09/Jan/2026:12:34:56 +0000] "GET /a HTTP/1.1" 200 512 "-" "curl/8"\n'
                '10.0.0.2 - - [09/Jan/2026:12:34:57 +0000] "GET /b HTTP/1.1" 503 88 "-" "curl/8"\n'
                '10.0.0.1 - - [09/Jan/2026:12:34:58 +0000] "POST /a HTTP/1.1" 200 - "-" "curl/8"\n')
    run("replay", "--config", config, "--data-dir", tmp_path / "data", "--format", "access_log", log)
    rows = sqlite3.connect(tmp_path / "data/streamobs.db").execute(
        "SELECT method, requests, errors, sent_bytes FROM traffic ORDER BY method").fetchall()
    assert rows == [("GET", 2, 1, 600), ("POST", 1, 0, None)]


class Replay:
    """Replays of one config into one database."""

    def __init__(self, directory):
        self.directory = directory
        write(directory / "obs.toml", CONFIG)

    def __call__(self, name, text, *arguments):
        (self.directory / name).write_text(text)
        return run("replay", "--config", "obs.toml", "--data-dir", "data", *arguments, name,
                   check=False, cwd=self.directory)

    def rows(self, sql):
        return sqlite3.connect(self.directory / "data/streamobs.db").execute(sql).fetchall()


@pytest.fixture
def replay(tmp_path):
    return Replay(tmp_path)


GOOD = '{"event_time": "2026-01-09T12:34:56Z", "service": "a", "latency_ms": 1}\n'


@pytest.mark.parametrize("text,arguments,says", [
    ("event_time,service,latency_ms\n2026-01-09T12:34:56Z,a,1\n", [],
     ["2 of 2 as not_json", "--format csv; that is what old looks like"]),
    (GOOD, ["--format", "csv"], ["--format ndjson; that is what old looks like"]),
    (GOOD, ["--format", "access_log"], ["1 of 1 as not_a_record", "--format ndjson"]),
    ('1.2.3.4 - - [09/Jan/2026:12:34:56 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n', [],
     ["--format access_log; that is what old looks like"]),
    (GOOD.replace("latency_ms", "latency") * 2 + GOOD.replace("2026-01", "then"), [],
     ["2 of 3 as missing_field", "for example line 2 of old: latency_ms", "`path`"]),
    (GOOD.replace("2026-01-09", "yesterday"), [], ["1 of 1 as bad_time", "`time` must name"]),
    (GOOD.replace("1}", "-1}"), [], ["1 of 1 as positive", "the check `positive`"]),
    ("", [], ["nothing was counted: there was no event"]),
])
def test_a_replay_that_counts_nothing_says_why_and_what_to_do(replay, text, arguments, says):
    done = replay("old", text, *arguments)
    assert done.returncode == 65, done.stderr
    for words in says:
        assert words in done.stderr


def test_one_event_that_counts_is_enough_for_success(replay):
    done = replay("old", GOOD + "nonsense\n")
    assert done.returncode == 0
    assert "accepted 1, rejected 1" in done.stderr


ACCESS = '1.2.3.4 - - [09/Jan/2026:12:34:56 +0000] "GET /%d HTTP/1.1" 200 5 "-" "-"\n'


def test_a_replay_of_the_wrong_format_gives_up_early(replay):
    # Many blocks, so that the lanes are ahead of what gives up; and at the end it would be right.
    text = "".join(ACCESS % i for i in range(200_000)) + GOOD * 1_000
    for _ in range(2):
        done = replay("old", text)
        assert done.returncode == 65, done.stderr
        assert "all events were refused" in done.stderr and "--format access_log" in done.stderr
        assert "gives up after 1000 events" in done.stderr
        assert "accepted 0, rejected" in done.stderr
        assert int(done.stderr.split(" events in ")[0].split()[-1]) < 100_000
        assert replay.rows("SELECT min(position), max(position), count(*) FROM dead_letters") == [
            (1, 1_000, 1_000)]
        assert replay.rows("SELECT count(*) FROM per_service") == [(0,)]


def test_a_replay_goes_on_where_the_first_event_that_counts_comes_in_time(replay):
    done = replay("old", "nonsense\n" * 999 + GOOD + "nonsense\n" * 3_000)
    assert done.returncode == 0, done.stderr
    assert "accepted 1, rejected 3999" in done.stderr
    assert replay.rows("SELECT count(*) FROM dead_letters") == [(3_999,)]


def test_a_file_that_is_not_there_is_told_once(replay):
    done = run("replay", "--config", "obs.toml", "--data-dir", "data", "gone.ndjson", check=False,
               cwd=replay.directory)
    assert done.returncode == 78
    assert done.stderr.count("gone.ndjson") == 1, done.stderr
    assert "0 events" not in done.stderr


def test_the_same_file_twice_changes_nothing(replay):
    late = GOOD.replace("12:34", "11:00")  # Its window has closed by then.
    text = (GOOD + "nonsense\nnonsense\n" + GOOD.replace("latency_ms", "x")
            + GOOD.replace("12:34", "12:50") + late + late)
    state = []
    for _ in range(3):
        assert replay("old.ndjson", text).returncode == 0
        state.append([replay.rows("SELECT * FROM per_service ORDER BY 1, 2"),
                      replay.rows("SELECT reason, position, payload FROM dead_letters ORDER BY id"),
                      replay.rows("SELECT * FROM dead_letter_count ORDER BY 1, 2")])
    assert [letter[:2] for letter in state[0][1]].count(("not_json", 2)) == 1
    assert sorted(letter[0] for letter in state[0][1]) == ["late", "late", "missing_field",
                                                           "not_json", "not_json"]
    assert sum(count for _, _, count in state[0][2]) == 5
    assert state[1] == state[0] and state[2] == state[0]


def test_only_the_top_help_has_the_examples():
    top = run("--help").stdout
    codes = top[top.index("Exit codes:"):]
    told = re.findall(r"^\| (\d+) \| ", (ROOT / "docs/operations.md").read_text(), re.M)
    assert re.findall(r"\b(\d+) ", codes) == told
    for command in ("validate", "replay", "loadgen", "wal", "backup", "restore"):
        text = run(command, "--help").stdout
        assert "Exit codes" not in text and "curl -d" not in text, command
    assert "checkpoints" in run("validate", "--help").stdout


def test_what_was_meant_on_the_command_line_is_told():
    done = run("validate", "--confg", "obs.toml", check=False)
    assert done.returncode == 78 and 'did you mean "--config"?' in done.stderr
    done = run("restore", "--from", "x", "--listen", "127.0.0.1:1", check=False)
    assert "--listen: `restore` does not take it; these do: " in done.stderr, done.stderr
    assert "doctor" in done.stderr and "did you mean" not in done.stderr
    done = run("--data_dir=x", check=False)
    assert done.returncode == 78 and 'did you mean "--data-dir"?' in done.stderr


def test_numbers_of_log_lines_are_numbers():
    with Streamobs(CONFIG) as engine:
        engine.post("requests", [json.loads(GOOD)])
        engine.stop()
        lines = [json.loads(line) for line in engine.messages().splitlines() if line.startswith("{")]
    stopped = next(line for line in lines if line["message"] == "stopped")
    assert stopped["events"] == 1 and stopped["rejected"] == 0
    assert all(isinstance(line["message"], str) for line in lines)


def test_validate_explains_what_each_preset_means():
    for preset in sorted((ROOT / "config").glob("*.toml")):
        done = run("validate", "--explain", "--config", preset)
        assert done.returncode == 0, done.stderr
        names = re.findall(r"^\[(?:stream|window|rule)\.(\w+)\]$", preset.read_text(), re.M)
        assert names and all(f"  {name}" in done.stdout for name in names)
        assert max(map(len, done.stdout.splitlines())) <= 110
    llm = run("validate", "--config", ROOT / "config/kafka/llm.toml").stdout
    assert "2 streams, 1 join, 3 windows, 2 rules, 2 sources, " in llm and llm.endswith("2 sinks\n")
    absent = ROOT / "config" / "absent.toml"
    assert run("validate", "--explain", "--config", absent, check=False).returncode == 78
