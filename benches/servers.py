"""The servers under measurement, pinned to one core, and what the kernel knows of them."""

import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORE = "0"
# What is measured: the release build, or another one of it.
BINARY = pathlib.Path(os.environ.get("PORTCULLIS_BENCH_BINARY", ROOT / "target/release/portcullis")).resolve()


class Server:
    """A pinned process that serves `url` until `stop`."""

    def __init__(self, command, out: pathlib.Path, environment=None, cwd=None):
        self.log = out.open("ab")
        # Our own settings and no proxy: what the shell holds must not change a figure.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTCULLIS") and k != "JWT_SECRET_KEY"}
        started = time.monotonic()
        self.process = subprocess.Popen(
            ["taskset", "-c", CORE, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            cwd=cwd,
            env={**kept, **(environment or {})},
        )
        self.url = self.find_url(out)
        self.start_ms = (time.monotonic() - started) * 1e3

    def find_url(self, out: pathlib.Path) -> str:
        """The line of its output that says where it serves."""

        def look():
            lines = [line for line in out.read_text().splitlines() if line.startswith("http://")]
            return lines[-1] if lines else None

        return self.wait(look)

    def wait(self, look, seconds=20):
        """What `look` gives as soon as it gives something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}: see {self.log.name}")
            if found := look():
                return found
            time.sleep(0.005)
        raise SystemExit(f"the server does not answer: see {self.log.name}")

    def cpu_us(self) -> float:
        """CPU time of all its threads so far, microseconds."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass  # that thread has just ended
        return total / 1e3

    def resident_mib(self) -> float:
        """Resident memory, MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def stop(self):
        """Ends it gracefully; anything but exit code 0 (or the signal, for bare and peers) is an error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.log.close()
        return self.process.returncode


class Bare(Server):
    """`examples/bare.rs`."""

    name = "bare"

    def __init__(self, out: pathlib.Path):
        binary = ROOT / "target/release/examples/bare"
        super().__init__([binary, "--port", "0", "--workers", "1"], out / "bare.log")


class Rmcp(Server):
    """`benches/peer`: what a user would build with the Rust SDK instead."""

    name = "rmcp"
    manifest = ROOT / "benches/peer/Cargo.toml"
    target = ROOT / "target/peer"

    def __init__(self, out: pathlib.Path, secret: str):
        command = [self.target / "release/peer", "--port", "0"]
        super().__init__(command, out / "rmcp.log", {"PEER_SECRET": secret})

    @classmethod
    def build(cls):
        """Builds what is measured."""
        command = ["cargo", "build", "--release", "--locked", "--manifest-path", cls.manifest, "--target-dir", cls.target]
        subprocess.run(command, cwd=ROOT, check=True)


class Portcullis(Server):
    """The release binary in the load-test profile, in a data directory of its own."""

    name = "portcullis"

    def __init__(self, out: pathlib.Path, secret: str, **settings):
        self.data = out / "data"
        self.data.mkdir(parents=True)
        self.environment = {
            "PORTCULLIS_PROFILE": "loadtest",
            "PORTCULLIS__DATA_DIR": str(self.data),
            "PORTCULLIS__SERVER__PORT": "0",
            "PORTCULLIS__SERVER__WORKERS": "1",
            "PORTCULLIS__ADMIN__PORT": "0",
            "PORTCULLIS__JWT__SECRET": secret,
            **{f"PORTCULLIS__{key}": str(value) for key, value in settings.items()},
        }
        super().__init__([BINARY, "serve"], out / "portcullis.log", self.environment, ROOT)

    def find_url(self, out):
        def look():
            try:
                url = json.loads((self.data / "run.json").read_text())["mcp_url"]
                with urllib.request.urlopen(url.removesuffix("/mcp") + "/health/ready", timeout=1) as answer:
                    return url if answer.status == 200 else None
            except (OSError, ValueError):
                return None

        return self.wait(look)

    def cli(self, *verb: str) -> str:
        """What a verb on this server's data prints."""
        command = [BINARY, *verb]
        done = subprocess.run(command, env={**os.environ, **self.environment}, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{verb}: {done.stderr}")
        return done.stdout.strip()

    def signing_key(self) -> tuple[bytes, str]:
        """The private key that this server has made for itself, and its id."""
        with urllib.request.urlopen(self.url.removesuffix("/mcp") + "/oauth/jwks", timeout=5) as answer:
            kid = json.load(answer)["keys"][0]["kid"]
        return next(self.data.glob("keys/jwt.*.pem")).read_bytes(), kid

    def records(self, event: str) -> int:
        """Requests of one kind that are in the audit log; a record of refusals by limits stands for many."""
        needle, total = f'"event":"{event}"'.encode(), 0
        for file in self.data.glob("audit/*/*.jsonl"):
            for line in file.open("rb"):
                if needle in line:
                    total += json.loads(line)["count"] if event == "rate.limited" else 1
        return total
