"""The embedding package as a user meets it: installed, found by CMake, linked, run."""

import subprocess

from harness import ROOT


def sh(*command, cwd=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_service_embeds_the_installed_package(tmp_path):
    prefix = tmp_path / "prefix"
    sh("cmake", "--install", ROOT / "build/release", "--prefix", prefix)
    assert (prefix / "bin/streamobs").exists()
    build = tmp_path / "build"
    sh("cmake", "-S", ROOT / "tests/embedding", "-B", build, "-G", "Ninja",
       f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    sh("cmake", "--build", build)
    lines = sh(build / "sidecar", tmp_path / "data").splitlines()
    assert lines[0] == "config error: config"
    assert lines[1] == "refused: 2 bad_time not_json"
    # Two of the three minutes have closed; the third is open, in the checkpoint and not in the store.
    assert lines[2] == "closed while running: 4"
    rows = {(line.split()[0], line.split()[3], float(line.split()[2]), int(line.split()[1]))
            for line in lines[3:] if line.endswith("closed")}  # A slow machine shows open ones, too.
    expected = set()
    for minute in range(2):
        for parity, service in ((0, "checkout"), (1, "search")):
            values = [0.1 * i for i in range(minute * 200, minute * 200 + 200) if i % 2 == parity]
            expected.add((service, "closed", round(sum(values), 6), 100))
    assert {(s, st, round(t, 6), n) for s, st, t, n in rows} == expected
