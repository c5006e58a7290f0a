"""The rules of the house: who may include whom (docs/architecture.md)."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
STAGES = ["source", "decode", "wal", "window", "detect", "narrate", "sink", "serve"]

# What each folder may include besides itself.
ALLOWED = {
    "base": set(),
    "event": {"base"},
    "telemetry": {"base"},
    "expr": {"base", "event"},
    "flow": {"base", "telemetry"},
    "http": {"base", "flow", "telemetry"},
    "health": {"base", "event"},
    "store": {"base", "event"},
    "loadgen": {"base", "event", "kafka"},
    "kafka": {"base", "flow", "telemetry"},
    "source": {"base", "event", "flow", "http", "kafka", "loadgen", "telemetry"},
    "decode": {"base", "event", "expr", "flow", "telemetry"},
    "wal": {"base", "event", "flow", "telemetry"},
    "window": {"base", "event", "expr", "flow", "telemetry"},
    "detect": {"base", "event", "expr", "flow", "telemetry"},
    "narrate": {"base", "event", "expr", "flow", "telemetry"},
    "sink": {"base", "event", "flow", "kafka", "store", "telemetry"},
    "serve": {"base", "event", "flow", "health", "http", "store", "telemetry"},
}
# config knows each folder's options and nothing more.
CONFIG_FOLDERS = {"base"}


def includes():
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in (".h", ".cpp") or "node_modules" in path.parts:
            continue
        folder = path.relative_to(SRC).parts[0]
        for line in path.read_text().splitlines():
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if match:
                yield path, folder, match.group(1)


def test_every_folder_keeps_to_the_rules():
    wrong = []
    seen = 0
    for path, folder, included in includes():
        if path.name == "main.cpp" or folder == "app":
            continue  # app is where everything meets.
        target = included.split("/")[0]
        seen += 1
        if target == folder or target == "streamobs":
            continue
        if folder == "config":
            if target not in CONFIG_FOLDERS and not included.endswith("/options.h"):
                # The options themselves speak of the types in event.
                if target != "event":
                    wrong.append(f"{path.relative_to(ROOT)} includes {included}")
            continue
        if target not in ALLOWED[folder]:
            wrong.append(f"{path.relative_to(ROOT)} includes {included}")
    assert seen > 50, "the test has lost sight of the sources"
    assert not wrong, "\n".join(wrong)


def test_stages_never_include_one_another():
    wrong = []
    for path, folder, included in includes():
        target = included.split("/")[0]
        if folder in STAGES and target in STAGES and target != folder:
            wrong.append(f"{path.relative_to(ROOT)} includes {included}")
    assert not wrong, "\n".join(wrong)


def test_every_header_says_what_it_is_for():
    silent = []
    for path in SRC.rglob("*.h"):
        first = path.read_text().lstrip().splitlines()[0]
        if not first.startswith("//"):
            silent.append(str(path.relative_to(ROOT)))
    assert not silent, "no opening comment: " + ", ".join(silent)


def test_the_rule_finds_a_planted_mistake():
    """The regular expression above must see what it is there for."""
    assert re.match(r'\s*#\s*include\s+"([^"]+)"', '#include "window/merger.h"').group(1) == "window/merger.h"
