"""Where a run leaves what it finds, and how much of earlier runs stays there."""

import fcntl
import os
import pathlib
import time

HOME = pathlib.Path(__file__).resolve().parent.parent / "target/bench-output"
# What a run said; the rest is what servers wrote and what they were asked with: gigabytes, and credentials.
KEPT = {".json", ".log", ".md", ".svg"}
SERVERS_OWN = {"data", "redis"}
# Held until the process ends.
_locks = []


def output(name=""):
    """The folder, yet to be made, of a run that begins now; data of earlier runs is removed, their logs and figures are kept."""
    HOME.mkdir(parents=True, exist_ok=True)
    lock = (HOME / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("another measurement is under way: they would slow each other, and this one would take its data away")
    _locks.append(lock)
    for run in HOME.iterdir():
        if run.is_dir():
            remove_data(run)
    return HOME / time.strftime(f"{name}%Y%m%d-%H%M%S")


def remove_data(run):
    """Leaves of a run what it said, and no empty folders."""
    for folder, _, files in os.walk(run, topdown=False):
        folder = pathlib.Path(folder)
        own = not SERVERS_OWN.isdisjoint(folder.relative_to(run).parts)
        for file in (folder / name for name in files):
            if own or file.suffix not in KEPT:
                file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
