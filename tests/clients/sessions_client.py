"""The official Python client in a session of an older revision: one line a check, exit 1 if one failed.

sessions_client.py     a line in says where to and with which token
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

failed = 0


def check(name, good, seen=""):
    global failed
    failed += not good
    print(f"ok   python session: {name}" if good else f"FAIL python session: {name}: {str(seen)[:400]}", flush=True)


async def asked(_context, params):
    check("the person is shown the message", params.message == "Who are you?", params)
    return types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.org"})


async def sampled(_context, params):
    said = types.TextContent(type="text", text=f"went on from {params.messages[0].content.text}")
    return types.CreateMessageResult(role="assistant", content=said, model="m", stop_reason="endTurn")


async def main():
    order = json.loads(sys.stdin.readline())
    logged, told, sessions = [], asyncio.Queue(), set()

    async def log(params):
        logged.append(params.data)

    async def tell(message):
        told.put_nowait(message)

    async def note(request):
        sessions.add(request.headers.get("mcp-session-id"))

    async def until(method):
        while True:
            message = await asyncio.wait_for(told.get(), 10)
            if getattr(message, "method", getattr(getattr(message, "root", None), "method", None)) == method:
                return True

    hooks = {"request": [note]}
    async with httpx2.AsyncClient(headers=order["headers"], timeout=httpx2.Timeout(15), trust_env=False, event_hooks=hooks) as http:
        client = Client(
            streamable_http_client(order["url"], http_client=http), mode="legacy", elicitation_callback=asked,
            sampling_callback=sampled, logging_callback=log, message_handler=tell,
        )
        async with client:
            check("it speaks 2025-11-25", client.protocol_version == "2025-11-25", client.protocol_version)
            tools = [tool.name for tool in (await client.list_tools()).tools]
            check("list", "test_elicitation" in tools, tools)
            called = await client.call_tool("test_simple_text", {})
            check("call", not called.is_error and "simple text" in called.content[0].text, called)
            called = await client.call_tool("test_elicitation", {"message": "Who are you?"})
            check("elicitation", not called.is_error and "ada@example.org" in called.content[0].text, called)
            called = await client.call_tool("test_sampling", {"prompt": "here"})
            check("sampling", called.content[0].text == "LLM response: went on from here", called)
            await client.set_logging_level("info")
            await client.call_tool("test_tool_with_logging", {})
            check("its log", len(logged) == 3 and logged[0] == "Tool execution started", logged)
            await client.subscribe_resource("test://watched-resource")
            await client.call_tool("test_trigger_tool_change", {})
            check("its stream tells of tools", await until("notifications/tools/list_changed"))
            await client.unsubscribe_resource("test://watched-resource")
            called = await client.call_tool("test_reconnection", {})
            check("it comes back for an answer", "come back" in called.content[0].text, called)
        named = sessions - {None}
        check("all of it was one session", len(named) == 1, len(named))
        headers = {"mcp-session-id": named.pop() if named else "none", "mcp-protocol-version": "2025-11-25",
                   "accept": "application/json, text/event-stream", **order["headers"]}
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        answer = await http.post(order["url"], json=ping, headers=headers)
        check("it has ended the session", answer.status_code == 404, answer.status_code)


asyncio.run(asyncio.wait_for(main(), 60))
sys.exit(1 if failed else 0)
