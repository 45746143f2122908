"""The official Python client as `matrix` drives it: a line in says where to, a line out says what was seen.

matrix_client.py auto|legacy
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


def say(**what):
    print(json.dumps(what), flush=True)


def inner(exception):
    while isinstance(exception, BaseExceptionGroup):
        exception = exception.exceptions[0]
    return exception


def told(exception):
    """Everything that the error says, its cause included."""
    exception = inner(exception)
    error = getattr(exception, "error", None)
    cause = exception.__cause__ or exception.__context__
    return f"{exception!r} {error!r} {inner(cause)!r}"


# The status of each answer since the last attempt: the client itself tells nobody of some.
statuses = []


async def note(response):
    statuses.append(response.status_code)


async def attempt(cell, doing):
    statuses.clear()
    try:
        result = await asyncio.wait_for(doing, 20)
    except BaseException as exception:  # noqa: BLE001 - whatever the client makes of a refusal is what counts
        say(cell=cell, error=told(exception), answered=list(statuses))
        return
    say(cell=cell, **({"error": str(result)} if getattr(result, "is_error", False) else {"ok": str(result)}))


async def connected(url, headers, mode, use):
    hooks = {"response": [note]}
    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(15), trust_env=False, event_hooks=hooks) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            await use(client)


async def wait_for(what):
    say(wait=what)
    await asyncio.to_thread(sys.stdin.readline)


async def first(client):
    await attempt("list", client.list_tools())
    await attempt("call", client.call_tool("get_weather", {"city": "Oslo"}))
    await attempt("resource", client.read_resource("file:///hello.txt"))
    await attempt("prompt", client.get_prompt("explain_file", {"path": "hello.txt"}))
    await attempt("bad arguments", client.call_tool("get_weather", {"town": "Oslo"}))
    await attempt("refused", client.call_tool("list_users", {}))
    await wait_for("drain")
    await attempt("rate limited", client.call_tool("get_weather", {"city": "Oslo"}))


async def second(client):
    await client.call_tool("get_weather", {"city": "Oslo"})
    await wait_for("revoke")
    await attempt("revoked in between", client.call_tool("get_weather", {"city": "Oslo"}))


async def main():
    order = json.loads(sys.stdin.readline())
    for headers, use in zip(order["headers"], (first, second)):
        try:
            await asyncio.wait_for(connected(order["url"], headers, sys.argv[1], use), 120)
        except BaseException as exception:  # noqa: BLE001 - leaving may be refused too; the cells are said already
            print(told(exception), file=sys.stderr)


asyncio.run(main())
