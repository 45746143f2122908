"""What a fleet is made of, on one machine: a Redis, three servers of the release binary, HAProxy with deploy/haproxy.cfg."""

import csv
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import tomllib
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAMES = ("one", "two", "three")
# HAProxy notices within 1.5 s (deploy/haproxy.cfg); a machine that is busy takes a little longer.
DRAIN_DELAY = "3s"
# Every process that was made: whatever goes wrong, none of them outlives the run.
STARTED = []
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def until(what, look, seconds=20):
    """What `look` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise SystemExit(f"FAIL {what}: not within {seconds} s")


def status_of(url, data=None, headers=None):
    """Status, headers and body of one request; status 0 if there was no answer."""
    try:
        with OPENER.open(urllib.request.Request(url, data=data, headers=headers or {}), timeout=5) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()
    except OSError as error:
        return 0, {}, str(error)


class Process:
    """A process of ours, in a log of its own."""

    def __init__(self, name, output):
        (output / "servers").mkdir(parents=True, exist_ok=True)
        self.name, self.log, self.process = name, output / "servers" / f"fleet-{name}.log", None
        STARTED.append(self)

    def launch(self, command, environment=None, cwd=None):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def lives(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.lives():
            self.process.kill()
            self.process.wait()

    def end(self, seconds=30):
        """Ends it as a supervisor does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"killed after {seconds} s"


class Redis(Process):
    """One node that keeps what it acknowledges, with the accounts that deploy/make-secrets makes."""

    def __init__(self, folder, output):
        super().__init__("redis", output)
        self.port, secrets = free_port(), folder / "secrets"
        for place in (folder / "redis", secrets):
            place.mkdir()
        subprocess.run([ROOT / "deploy/make-secrets", "gate.example", secrets], check=True, capture_output=True)
        deployed = tomllib.loads((secrets / "portcullis.toml").read_text())
        account = deployed["store"]["url"].split("://")[1].split("@")[0]
        self.secret = deployed["jwt"]["secret"]
        note(output, self.secret, account.split(":")[1])
        keeps = ["--dir", folder / "redis", "--appendonly", "yes", "--aclfile", secrets / "valkey.acl"]
        self.launch(["redis-server", "--port", self.port, "--bind", "127.0.0.1", *keeps])
        self.url = f"redis://{account}@127.0.0.1:{self.port}"
        until("the Redis answers", lambda: self.ask("PING") == "PONG")

    def ask(self, *command):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *command], capture_output=True, text=True, check=False)
        return done.stdout.strip()


class Server(Process):
    """One of the three; its port stays the same over restarts, since HAProxy knows it by that."""

    def __init__(self, name, binary, folder, output, shared):
        super().__init__(name, output)
        self.binary, self.folder, self.port = binary, folder / name, free_port()
        self.folder.mkdir()
        shutil.copytree(ROOT / "settings", self.folder / "settings", ignore=shutil.ignore_patterns("local.toml"))
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTCULLIS") and k != "JWT_SECRET_KEY"}
        own = {"DATA_DIR": self.folder / "data", "SERVER__PORT": self.port, "ADMIN__PORT": 0, "SERVER__DRAIN_DELAY": DRAIN_DELAY}
        settings = {f"PORTCULLIS__{key}": str(value) for key, value in {**shared, **own}.items()}
        self.environment = {**kept, "PORTCULLIS_PROFILE": "loadtest", **settings}
        self.url = f"http://127.0.0.1:{self.port}/mcp"

    def start(self):
        self.launch([self.binary, "serve"], self.environment, self.folder)
        until(f"server {self.name} is ready", lambda: not self.lives() or self.ready() == 200)
        if not self.lives():
            raise SystemExit(f"FAIL server {self.name} starts: see {self.log}")

    def ready(self):
        return status_of(f"http://127.0.0.1:{self.port}/health/ready")[0]

    def verb(self, *arguments):
        """Runs a verb of the binary with the settings of this server."""
        command = [self.binary, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=60,
        )


class HaProxy(Process):
    """deploy/haproxy.cfg as it is; a second file adds the socket on which it says what it sees."""

    def __init__(self, folder, output, port, servers):
        super().__init__("haproxy", output)
        self.port, self.socket = port, folder / "haproxy.sock"
        more = folder / "more.cfg"
        more.write_text(f"global\n    stats socket {self.socket} mode 600 level operator\n")
        environment = os.environ | {"PROXY_BIND": f"127.0.0.1:{self.port}"}
        environment |= {f"PORTCULLIS_{n}": f"127.0.0.1:{server.port}" for n, server in enumerate(servers, 1)}
        command = ["haproxy", "-db", "-f", ROOT / "deploy/haproxy.cfg", "-f", more]
        checked = subprocess.run([*map(str, command), "-c"], env=environment, capture_output=True, text=True, check=False)
        if checked.returncode != 0 or "WARNING" in checked.stderr:
            raise SystemExit(f"FAIL deploy/haproxy.cfg is valid: {checked.stderr}")
        self.launch(command, environment)
        until("HAProxy sees every server", lambda: not self.lives() or all(self.is_up(name) for name in NAMES))
        if not self.lives():
            raise SystemExit(f"FAIL HAProxy starts: see {self.log}")

    def rows(self):
        """`show stat`, by the name of the server."""
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect(str(self.socket))
            except OSError:
                return {}
            asked.sendall(b"show stat\n")
            text = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
        lines = csv.DictReader(text.removeprefix("# ").splitlines())
        return {row["svname"]: row for row in lines if row["pxname"] == "portcullis"}

    def is_up(self, name):
        row = self.rows().get(name, {})
        # At its own start HAProxy takes everybody for alive until it has looked.
        return row.get("status") == "UP" and row.get("check_status") == "L7OK"


def note(output, *secrets):
    """Notes secrets that must stand in no output."""
    with (output / "secrets.txt").open("a") as noted:
        noted.write("".join(f"{secret}\n" for secret in secrets))


def call(url, token, address=None):
    """One call of a tool: status and body. `address` is what the client claims to be."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": "get_weather", "arguments": {"city": "Oslo"}, "_meta": meta}
    headers = {
        "Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Name": "get_weather",
        "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Authorization": f"Bearer {token}",
    }
    if address:
        headers |= {"X-Forwarded-For": address, "Forwarded": f"for={address}"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    status, headers, text = status_of(url, body, headers)
    return status, headers.get("x-request-id"), text
