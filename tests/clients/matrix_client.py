"""The Python clients as `matrix` drives them: a line in says where to, a line out says what was seen.

matrix_client.py mcp|fastmcp auto|legacy
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, types
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


def http(headers=None, **_):
    hooks = {"response": [note]}
    return httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(15), trust_env=False, event_hooks=hooks)


async def official(url, headers, mode, use):
    async def says(_, __):
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async with http(headers) as through:
        over = streamable_http_client(url, http_client=through)
        async with Client(over, mode=mode, elicitation_callback=says) as client:
            await use(client)


class Fast:
    """The same verbs, of the other client: an error that a tool tells is a result here too."""

    def __init__(self, client):
        self.client = client
        self.list_tools, self.read_resource, self.get_prompt = client.list_tools, client.read_resource, client.get_prompt

    def call_tool(self, name, arguments, progress_callback=None):
        return self.client.call_tool(name, arguments, raise_on_error=False, progress_handler=progress_callback)


async def fastmcp(url, headers, mode, use):
    from fastmcp import Client as FastClient
    from fastmcp.client.transports import StreamableHttpTransport

    async def says(*_):
        return {"name": "Ada"}

    over = StreamableHttpTransport(url, headers=headers, httpx_client_factory=http)
    async with FastClient(over, mode=mode, elicitation_handler=says) as client:
        await use(Fast(client))


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


async def third(client):
    steps = []

    async def told_how_far(*step):
        steps.append(step)

    done = await client.call_tool("test_tool_with_progress", {}, progress_callback=told_how_far)
    say(cell="progress", ok=str(done), steps=len(steps))
    await attempt("elicitation", client.call_tool("test_input_required_result_elicitation", {}))
    waiting = asyncio.ensure_future(client.call_tool("test_waits", {}))
    await wait_for("begun")
    waiting.cancel()
    await asyncio.wait([waiting])
    await wait_for("cancelled")


async def main():
    connected = {"mcp": official, "fastmcp": fastmcp}[sys.argv[1]]
    order = json.loads(sys.stdin.readline())
    for place, use in zip(order, (first, second, third)):
        try:
            await asyncio.wait_for(connected(place["url"], place["headers"], sys.argv[2], use), 120)
        except BaseException as exception:  # noqa: BLE001 - leaving may be refused too; the cells are said already
            print(told(exception), file=sys.stderr)


asyncio.run(main())
