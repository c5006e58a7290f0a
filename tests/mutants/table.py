"""mutants.toml as objects; what is wrong with it is found without building anything."""

import dataclasses
import pathlib
import re
import tomllib

LIMIT_S = 120  # Of one test; none takes a quarter of it.


@dataclasses.dataclass(frozen=True)
class Test:
    """One case of a Catch2 program, or one test of pytest."""

    program: str
    case: str
    env: dict = dataclasses.field(default_factory=dict, hash=False)
    limit_s: float = LIMIT_S

    @property
    def target(self):
        """What has to be built."""
        return "streamobs" if self.program == "pytest" else self.program

    def command(self, build_dir):
        if self.program == "pytest":
            return ["python3", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", self.case]
        case = re.sub(r"([\\,\[\]*])", r"\\\1", self.case)
        return [str(build_dir / "tests" / self.program), case, "--abort", "-w", "NoTests"]

    def is_there(self, root):
        if self.program == "pytest":
            file, _, name = self.case.partition("::")
            path = root / file
            return path.is_file() and f"def {name.partition('[')[0]}(" in path.read_text()
        folder = root / "tests" / self.program.removeprefix("test_")
        cases = (p.read_text() for p in folder.glob("*_test.cpp"))
        return any(f'TEST_CASE("{self.case}"' in text for text in cases)

    def __str__(self):
        return self.case if self.program == "pytest" else f'{self.program} "{self.case}"'


@dataclasses.dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    breaks: str
    edits: tuple
    test: Test

    def problems(self, root):
        """Sentences; none where it can be planted and its test is there."""
        found = []
        for edit in self.edits:
            path = root / edit.file
            times = path.read_text().count(edit.old) if path.is_file() else 0
            if times != 1:
                found.append(f"mutant {self.name}: its old text is {times} times in {edit.file} "
                             "instead of once; bring tests/mutants/mutants.toml up to date")
            if edit.old == edit.new:
                found.append(f"mutant {self.name} changes nothing in {edit.file}")
        if not self.test.is_there(root):
            found.append(f"mutant {self.name}: there is no test {self.test}")
        return found


def load(root):
    path = pathlib.Path(root) / "tests/mutants/mutants.toml"
    mutants = []
    for entry in tomllib.loads(path.read_text())["mutant"]:
        edits = [entry, *entry.get("also", [])]
        mutants.append(Mutant(
            entry["name"], entry["breaks"],
            tuple(Edit(e.get("file", entry["file"]), e["old"], e["new"]) for e in edits),
            Test(entry["program"], entry["case"], entry.get("env", {}),
                 entry.get("limit_s", LIMIT_S))))
    return mutants
