"""The planted mistakes of tests/mutants can still be planted, and their tests are there."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/mutants"))

import table  # noqa: E402


def test_every_mutant_can_be_planted():
    mutants = table.load(ROOT)
    assert len(mutants) >= 10
    assert len({m.name for m in mutants}) == len(mutants)
    problems = [problem for mutant in mutants for problem in mutant.problems(ROOT)]
    assert not problems, "\n".join(problems)
