#!/usr/bin/env python3
"""The official Python client, calling a tool without a pause until its standard input ends: says what it has seen.

caller.py URL TOKEN_FILE     one JSON line: calls, connections, and the first failures

Half of the callers keep their connection, the others open a new one for every few calls.
"""

import asyncio
import json
import pathlib
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

MODERN = "2026-07-28"
CALLERS = 4
seen = {"calls": 0, "connections": 0, "failed": 0, "failures": [], "revisions": []}


def fail(what):
    seen["failed"] += 1
    if len(seen["failures"]) < 5:
        seen["failures"].append(str(what)[:300])


async def call_until(over, url, token, calls_each):
    """Calls on one connection, `calls_each` times, then on the next."""
    while not over.is_set():
        try:
            headers = {"Authorization": f"Bearer {token}"}
            async with (
                httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(15), trust_env=False) as http,
                Client(streamable_http_client(url, http_client=http), mode=MODERN) as client,
            ):
                seen["connections"] += 1
                if client.protocol_version not in seen["revisions"]:
                    seen["revisions"].append(client.protocol_version)
                for turn in range(calls_each):
                    if over.is_set():
                        break
                    city = f"City {turn % 7}"
                    called = await client.call_tool("get_weather", {"city": city})
                    seen["calls"] += 1
                    if called.is_error or called.structured_content["city"] != city:
                        fail(called)
        except Exception as exception:  # noqa: BLE001 - whatever it is, it is a failed request
            while isinstance(exception, BaseExceptionGroup):
                exception = exception.exceptions[0]
            fail(repr(exception))
            await asyncio.sleep(0.1)


async def main():
    url, token = sys.argv[1], pathlib.Path(sys.argv[2]).read_text().strip()
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, over.set)
    await asyncio.gather(*(call_until(over, url, token, 10 if n % 2 else 10**9) for n in range(CALLERS)))
    print(json.dumps(seen))


asyncio.run(main())
