"""One run of wrk on the core that is not the server's."""

import json
import os
import subprocess

from servers import ROOT

LOAD_CORE = "1"


def load(url, connections, seconds, tokens_file, tool, address=None, script="call.lua"):
    """One run of wrk: requests, seconds, latencies, answers that were not 2xx."""
    environment = os.environ | ({"CLIENT_ADDRESS": address} if address else {})
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    script = ["-s", str(ROOT / "benches" / script), url, "--", str(tokens_file), tool]
    quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "env": environment}
    done = subprocess.run(command + script, check=False, **quiet)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if done.returncode != 0 or line is None:
        raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
    return json.loads(line.removeprefix("RESULT "))
