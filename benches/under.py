"""A server under tools that look into it: strace counts what it asks of the kernel, perf says where its time goes."""

import collections
import os
import re
import shutil
import signal
import subprocess
import threading

from servers import ROOT
from wrk import load

NAMED = ROOT / "target/named"
TOOLS = ROOT / "target/tools"
INFERNO = "0.12.8"
# Samples a second of processor time.
OFTEN = 997


def build_named():
    """The release build without the slow half of its optimisations, and with the names of functions."""
    profile = {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16", "CARGO_PROFILE_RELEASE_STRIP": "none"}
    environment = {**os.environ, **profile, "CARGO_TARGET_DIR": str(NAMED), "RUSTFLAGS": "-C force-frame-pointers=yes"}
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "portcullis"], check=True, cwd=ROOT, env=environment)
    return NAMED / "release/portcullis"


def needs(*tools):
    """Ends with what is missing of `tools`."""
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        raise SystemExit(f"this needs {' and '.join(missing)}")


def syscalls(server, row, seconds, tokens_file, out):
    """System calls a request, by name, and how many requests they were counted of."""
    needs("strace")
    counts = out / "syscalls.txt"
    watching = subprocess.Popen(["strace", "-f", "-c", "-o", counts, "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True)
    # It says so of the first thread, and takes all before it lets any go on.
    if "attached" not in (said := watching.stderr.readline()):
        raise SystemExit(f"strace: {said}")
    drained = threading.Thread(target=watching.stderr.read)
    drained.start()
    requests = load(server.url, row.connections, seconds, tokens_file, row.tool)["requests"]
    watching.send_signal(signal.SIGINT)
    watching.wait(10)
    drained.join()
    # % time, seconds, µs a call, calls, errors if there were any, name
    lines = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", counts.read_text(), re.MULTILINE)
    return collections.Counter({name: int(calls) / requests for calls, name in lines if name != "total"}), requests


def flame(server, row, seconds, tokens_file, out):
    """Draws where the time of `server` goes, as an SVG; its name."""
    needs("perf")
    folded, drawn = (TOOLS / "bin" / f"inferno-{part}" for part in ("collapse-perf", "flamegraph"))
    if not folded.exists():
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", TOOLS, f"inferno@{INFERNO}"], check=True)
    samples = out / "perf.data"
    record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(OFTEN), "--call-graph", "fp", "-o", samples]
    loading = threading.Thread(target=load, args=(server.url, row.connections, seconds + 2, tokens_file, row.tool))
    loading.start()
    subprocess.run([*record, "-p", str(server.process.pid), "--", "sleep", str(seconds)], check=True)
    loading.join()
    picture = out / f"flame-{out.name}.svg"
    script = subprocess.Popen(["perf", "script", "-i", samples], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    fold = subprocess.Popen([folded, "--all"], stdin=script.stdout, stdout=subprocess.PIPE)
    with picture.open("wb") as file:
        subprocess.run([drawn, "--title", row.says], stdin=fold.stdout, stdout=file, check=True)
    samples.unlink()
    return picture
