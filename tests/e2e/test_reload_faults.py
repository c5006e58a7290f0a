"""What goes wrong round a reload: each of these has ended an engine, or lost something, once."""

import os
import re
import signal
import subprocess
import threading
import time
import urllib.request

from harness import BINARY, Streamobs
from test_reload import FAR, config, event, n_of, reload, state, write


def test_nobody_reads_stderr_any_more(tmp_path):
    (tmp_path / "obs.toml").write_text(config())
    read_end, write_end = os.pipe()
    # As most shells start it: SIGPIPE would end it.
    process = subprocess.Popen(
        [str(BINARY), "--config", str(tmp_path / "obs.toml"), "--data-dir", str(tmp_path / "data")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write_end, restore_signals=True)
    os.close(write_end)
    try:
        said = b""
        while b"listening on" not in said:
            more = os.read(read_end, 4096)
            assert more, said
            said += more
        os.close(read_end)
        url = re.search(rb"listening on (\S+)", said).group(1).decode()
        for _ in range(2):
            request = urllib.request.Request(url + "/-/reload", method="POST")
            with urllib.request.urlopen(request, timeout=60) as reply:
                assert reply.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
