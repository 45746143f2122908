"""A server of the release binary in a directory of its own, and the tally of what was checked."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
tally = {"failed": 0}


def check(name, good, seen=""):
    """Prints one line; what was seen only if it was not what should be seen."""
    tally["failed"] += not good
    print(f"ok   {name}" if good else f"FAIL {name}: {str(seen)[:600]}", flush=True)


class House:
    """A data directory, the environment that belongs to it, and the server in it."""

    def __init__(self, binary, output, more=()):
        self.binary, self.output = binary, output
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-clients-"))
        self.data = self.folder / "data"
        shutil.copytree(ROOT / "settings", self.folder / "settings", ignore=shutil.ignore_patterns("local.toml"))
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTCULLIS") and k != "JWT_SECRET_KEY"}
        settings = {"SERVER__PORT": "0", "ADMIN__PORT": "0", "DATA_DIR": str(self.data), "TELEMETRY__LOG": "trace", **dict(more)}
        self.environment = {**kept, **{f"PORTCULLIS__{key}": value for key, value in settings.items()}}
        self.server, self.url = None, None

    def start(self):
        (self.output / "servers").mkdir(parents=True, exist_ok=True)
        log = (self.output / "servers" / "clients.log").open("ab")
        self.server = subprocess.Popen(
            [self.binary, "serve"], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log,
        )
        end = time.monotonic() + 20
        while time.monotonic() < end and self.server.poll() is None:
            try:
                self.url = json.loads((self.data / "run.json").read_text())["mcp_url"]
                with urllib.request.urlopen(self.url.removesuffix("/mcp") + "/health/ready", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(0.02)
        raise SystemExit(f"FAIL the server starts: see {log.name}")

    def verb(self, *arguments):
        """Runs a verb of the binary; what it says on standard error is kept."""
        done = subprocess.run(
            [self.binary, *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=60,
        )
        (self.output / "cli").mkdir(parents=True, exist_ok=True)
        with (self.output / "cli" / "clients.log").open("a") as log:
            log.write(done.stderr)
        return done

    def note(self, *secrets):
        """Notes secrets that must stand in no output."""
        with (self.output / "secrets.txt").open("a") as noted:
            noted.write("".join(f"{secret}\n" for secret in secrets))

    def token(self, user, role):
        """A token by `token issue`, noted as a secret and left in a file of its own."""
        done = self.verb("token", "issue", "--user", user, "--role", role)
        token = done.stdout.strip()
        check(f"token issue prints a token alone for {user}", done.returncode == 0 and token.count(".") == 2, done.stderr)
        self.note(token, *token.split(".")[1:])
        path = self.folder / f"{user}.token"
        path.write_text(token)
        path.chmod(0o600)
        return path

    def stop(self):
        self.server.send_signal(signal.SIGTERM)
        try:
            return self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            return "killed after 20 s"

    def leave(self):
        if self.server and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        if (self.data / "audit").exists():
            shutil.copytree(self.data / "audit", self.output / "audit" / "clients", dirs_exist_ok=True)
        shutil.rmtree(self.folder)
