#!/usr/bin/env python3
"""Plants mistakes and sees whether the tests notice.

    tests/mutants/run.py                  # all of mutants.toml
    tests/mutants/run.py torn-tail-kept   # those
    tests/mutants/run.py --list

Works on a copy of the checkout in build/mutants/checkout, never in place; the copy and what is built
in it stay, so that the next run is quicker. First every test is run without a mistake and has to pass.
Then, one mutant after the other: the text is changed, the test's program built, the test run, the text
put back. A test that fails has caught the mutant; one that passes, or hangs, has not.

Exit 0: all were caught. Exit 1: one was not, does not build, or a test fails without it.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

import table

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKER = ".streamobs-mutants"


def copy_checkout(scratch):
    """Makes `scratch` the checkout as it is now; touches only what is different."""
    marker = scratch / MARKER
    if scratch.resolve() == ROOT or (scratch.exists() and any(scratch.iterdir())
                                     and not marker.exists()):
        raise SystemExit(f"{scratch} is not a copy that this program made: give another --scratch")
    scratch.mkdir(parents=True, exist_ok=True)
    marker.touch()
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = {n for n in subprocess.check_output(git, text=True).split("\0")
             if n and (ROOT / n).is_file()}
    for name in names:
        there, wanted = scratch / name, (ROOT / name).read_bytes()
        if there.is_file() and there.read_bytes() == wanted:
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(wanted)
        there.chmod((ROOT / name).stat().st_mode & 0o777)
    # Sources are found by pattern: what has gone must not be built.
    for folder in ("src", "tests"):
        for there in (scratch / folder).rglob("*"):
            if there.is_file() and "__pycache__" not in there.parts and \
                    str(there.relative_to(scratch)) not in names:
                there.unlink()


class Bench:
    def __init__(self, scratch, jobs):
        self.scratch, self.jobs = scratch, jobs
        self.build_dir = scratch / "build/release"

    def configure(self):
        subprocess.run(["cmake", "-S", self.scratch, "-B", self.build_dir, "-G", "Ninja",
                        "-DCMAKE_BUILD_TYPE=Release"], check=True, stdout=subprocess.DEVNULL)

    def build(self, targets):
        """None, or the end of what the compiler said."""
        done = subprocess.run(["nice", "-n", "19", "ninja", "-j", str(self.jobs), "-C",
                               self.build_dir, *targets], capture_output=True, text=True)
        return None if done.returncode == 0 else done.stdout[-3000:]

    def run(self, test):
        """(passed, hung, output)"""
        environment = {**os.environ, "STREAMOBS": str(self.build_dir / "streamobs"), **test.env}
        process = subprocess.Popen(test.command(self.build_dir), cwd=self.scratch, env=environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace", start_new_session=True)
        try:
            output, _ = process.communicate(timeout=test.limit_s)
            return process.returncode == 0, False, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return False, True, output


def check_unmutated(bench, tests):
    targets = sorted({t.target for t in tests})
    print(f"building {' '.join(targets)} as they are", flush=True)
    if (trouble := bench.build(targets)) is not None:
        raise SystemExit(f"the checkout does not build\n{trouble}")
    good = True
    for test in tests:
        began = time.monotonic()
        passed, hung, output = bench.run(test)
        if not passed:
            good = False
            print(f"fails without any mistake{' (hung)' if hung else ''}: {test}\n{output[-3000:]}")
        else:
            print(f"  {time.monotonic() - began:6.1f} s  {test}", flush=True)
    if not good:
        raise SystemExit(1)


def try_mutant(bench, mutant, show):
    """('caught' or what else, seconds of building, seconds of testing)"""
    originals = {}
    began = tested = time.monotonic()
    try:
        for edit in mutant.edits:
            path = bench.scratch / edit.file
            text = path.read_text()
            originals.setdefault(path, text)
            path.write_text(text.replace(edit.old, edit.new))
        trouble = bench.build([mutant.test.target])
        tested = time.monotonic()
        if trouble is not None:
            print(trouble)
            return "DOES NOT BUILD", tested - began, 0.0
        passed, hung, output = bench.run(mutant.test)
        if show:
            print(output[-3000:])
        verdict = "SURVIVED" if passed else "HUNG" if hung else "caught"
        return verdict, tested - began, time.monotonic() - tested
    finally:
        for path, text in originals.items():
            path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="mutants; all without any")
    parser.add_argument("--list", action="store_true", help="show them and what they break")
    parser.add_argument("--show", action="store_true", help="print what each test said, too")
    parser.add_argument("--scratch", type=pathlib.Path, default=ROOT / "build/mutants/checkout")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    mutants = table.load(ROOT)
    problems = [p for m in mutants for p in m.problems(ROOT)]
    if problems:
        raise SystemExit("\n".join(problems))
    unknown = set(arguments.names) - {m.name for m in mutants}
    if unknown:
        raise SystemExit(f"no such mutant: {', '.join(sorted(unknown))}; --list shows them")
    if arguments.names:
        mutants = [m for m in mutants if m.name in arguments.names]
    if arguments.list:
        for m in mutants:
            print(f"{m.name}\n    {m.breaks}\n    {m.test}")
        return 0

    began = time.monotonic()
    scratch = arguments.scratch.resolve()
    copy_checkout(scratch)
    bench = Bench(scratch, arguments.jobs)
    bench.configure()
    check_unmutated(bench, list(dict.fromkeys(m.test for m in mutants)))
    not_caught = []
    width = max(len(m.name) for m in mutants)
    for mutant in mutants:
        verdict, build_s, test_s = try_mutant(bench, mutant, arguments.show)
        print(f"{mutant.name:{width}}  {verdict:8}  build {build_s:5.1f} s  test {test_s:5.1f} s  "
              f"{mutant.test}", flush=True)
        if verdict != "caught":
            not_caught.append(mutant)
    print(f"{len(mutants) - len(not_caught)} of {len(mutants)} caught in "
          f"{time.monotonic() - began:.0f} s")
    for mutant in not_caught:
        print(f"not caught: {mutant.name}: {mutant.breaks}")
    return 1 if not_caught else 0


if __name__ == "__main__":
    sys.exit(main())
