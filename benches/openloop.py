"""Latency at a rate that does not wait for answers (`benches/run --open`).

wrk sends a call when the answer to the last one is there, so a server that stalls is asked less while it does, and the
stall is counted once: coordinated omission. Here oha sends on a schedule, and a call counts from its place in it. (What
oha calls corrected counts from when it has woken up to release a call, a millisecond and more after that.)
"""

import base64
import json
import os
import sqlite3
import statistics
import subprocess

from calls import BODY, headers, must_answer
from servers import ROOT, Bare, Portcullis
from tokens import mint
from wrk import LOAD_CORE, load

TOOLS = ROOT / "target/tools"
OHA = "1.16.0"
CONNECTIONS = 64
FRACTIONS = (0.5, 0.8)
# What waits at the end of a run is cut off, the longest waits among it: so long oha goes on with calls that do not count.
# A rate is kept if all that count were answered by then.
BEYOND_MS = 200
# What oha can send is looked for downwards from here, in such steps and for so many seconds each.
HIGHEST, STEP, LOOK = 100_000, 0.85, 5


def install():
    """The program that sends on a schedule. Without its default features it does not compile."""
    oha = TOOLS / "bin/oha"
    if oha.exists():
        said = subprocess.run([oha, "--version"], check=False, capture_output=True, text=True).stdout
        if OHA in said.split():
            return oha
    command = ["cargo", "install", "oha", "--version", f"={OHA}", "--locked", "--force", "--root", TOOLS, "--quiet"]
    subprocess.run(command, check=True)
    return oha


def paced(oha, server, rate, seconds, token, calls):
    """`seconds` of calls at `rate`; milliseconds from where a call stands in the schedule to its answer."""
    command = ["taskset", "-c", LOAD_CORE, oha, "-q", rate, "--latency-correction", "-c", CONNECTIONS, "--worker-threads", 1]
    command += ["-z", f"{seconds * 1000 + BEYOND_MS}ms", "-w", "-m", "POST", "-d", BODY]
    command += ["--no-tui", "--output-format", "json", "--db-url", calls]
    command += [word for name, value in headers(token).items() for word in ("-H", f"{name}: {value}")]
    done = subprocess.run([*map(str, command), server.url], check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"oha failed: {done.stdout}{done.stderr}")
    said = json.loads(done.stdout)
    if said["errorDistribution"] or set(said["statusCodeDistribution"]) != {"200"}:
        raise SystemExit(f"{server.name}: answers {said['statusCodeDistribution']}, errors {said['errorDistribution']}")
    found = sqlite3.connect(calls)
    # In the order of the schedule: calls are taken from one queue.
    rows = found.execute("SELECT start_latency_correction, end FROM oha ORDER BY 1").fetchall()
    found.close()
    calls.unlink()
    scheduled = int(rate * seconds)
    rows = rows[:scheduled]
    waited = sorted((end - n / rate) * 1e3 for n, (_, end) in enumerate(rows))
    late = sorted((released - n / rate) * 1e3 for n, (released, _) in enumerate(rows))
    return {"answered": len(rows) / scheduled, "waited": parts(waited), "late": parts(late)}


def parts(ordered):
    """Where 50, 99, 99.9 and 100 of 100 are, of numbers in order."""
    return [ordered[min(int(len(ordered) * part), len(ordered) - 1)] for part in (0.5, 0.99, 0.999, 1)]


def merged(runs):
    """Medians of rounds; of the longest wait the longest, and of what was answered the least."""
    middle = {key: [statistics.median(each) for each in zip(*(run[key] for run in runs))] for key in ("waited", "late")}
    middle["waited"][-1] = max(run["waited"][-1] for run in runs)
    return {"answered": min(run["answered"] for run in runs), **middle}


def kept(run):
    """Whether the calls were made at the rate that was asked for."""
    return run["answered"] == 1


def reach(oha, server, token, calls):
    """The highest rate that oha keeps on a core of its own, with a server that could do more."""
    rate = HIGHEST
    while not kept(paced(oha, server, rate, LOOK, token, calls)):
        rate = round(rate * STEP)
        if rate < 1000:
            raise SystemExit(f"oha does not keep any rate with {server.name}")
    return rate


def capacities(servers, rounds, seconds, tokens):
    """Calls a second that wrk gets out of each: medians of interleaved rounds."""
    runs = {server.name: [] for server in servers}
    for server in servers:
        load(server.url, CONNECTIONS, 2, tokens, "get_weather")
    for turn in range(rounds):
        for server in servers if turn % 2 == 0 else servers[::-1]:
            run = load(server.url, CONNECTIONS, seconds, tokens, "get_weather")
            if run["not_2xx"] or run["broken"]:
                raise SystemExit(f"{server.name}: {run['not_2xx']} answers not 2xx, {run['broken']} broken")
            runs[server.name].append(run["requests"] / run["seconds"])
    return {name: statistics.median(each) for name, each in runs.items()}


def measure(rounds, seconds, folder):
    """What each server can do, what oha can, and latencies at rates that both keep."""
    oha = install()
    folder.mkdir(parents=True)
    secret = base64.urlsafe_b64encode(os.urandom(48)).decode()
    servers = [Bare(folder), Portcullis(folder, secret, AUDIT__DURABILITY="buffered")]
    bare, ours = servers
    token, calls, tokens = mint(secret, "user0", "user"), folder / "calls.sqlite", folder / "tokens.txt"
    tokens.touch(0o600)
    tokens.write_text(token + "\n")
    try:
        for server in servers:
            must_answer(server, token)
        capacity, most = capacities(servers, rounds, seconds, tokens), reach(oha, bare, token, calls)
        rates = {server: {min(round(capacity[server.name] * part), most) for part in FRACTIONS} for server in servers}
        # Beside ours stands bare at the same rate: what is common to both is oha's.
        rates[bare] |= rates[ours]
        runs = {(server.name, rate): [] for server in servers for rate in sorted(rates[server])}
        for turn in range(rounds):
            for server in servers if turn % 2 == 0 else servers[::-1]:
                for rate in sorted(rates[server]):
                    runs[server.name, rate].append(paced(oha, server, rate, seconds, token, calls))
    finally:
        codes = [server.stop() for server in servers]
    if codes[1] != 0:
        raise SystemExit(f"portcullis ended with {codes[1]}")
    whole = [{"server": name, "rate": rate, **merged(each)} for (name, rate), each in runs.items()]
    return {"capacity": capacity, "reach": most, "runs": whole}


def table(found):
    """The runs as Markdown."""
    lines = [
        "| server | calls a second | of what it can do | p50 ms | p99 | p99.9 | max | oha itself late by: p50, p99 | rate kept |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in found["runs"]:
        part = run["rate"] / found["capacity"][run["server"]]
        times = " | ".join(f"{ms:.2f}" for ms in run["waited"])
        said = "yes" if kept(run) else f"**no**: {1 - run['answered']:.2%} cut off"
        lines.append(f"| {run['server']} | {run['rate']:,} | {part:.0%} | {times} | {run['late'][0]:.2f}, {run['late'][1]:.2f} | {said} |")
    can = ", ".join(f"{name} {rps:,.0f}" for name, rps in found["capacity"].items())
    return "\n".join(lines) + f"\n\nCalls a second that wrk gets out of each: {can}; that oha keeps on its core: {found['reach']:,}."
