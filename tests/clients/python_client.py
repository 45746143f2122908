#!/usr/bin/env python3
"""The official Python MCP client against a running server: one line a check, exit 1 if one failed.

python_client.py URL --mode auto --user-token-file F --guest-token-file F

Tokens come in files, so that they stand in no process list.
"""

import argparse
import asyncio
import pathlib
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

MODERN = "2026-07-28"
failed = 0


def check(name: str, good: bool, seen: object) -> None:
    """Prints one line; what was seen only if it was not what should be seen."""
    global failed
    failed += not good
    print(f"ok   {name}" if good else f"FAIL {name}: {str(seen)[:400]}", flush=True)


def error_in(exception: BaseException) -> BaseException:
    """The one error inside the task groups that the client wraps around it."""
    while isinstance(exception, BaseExceptionGroup):
        exception = exception.exceptions[0]
    return exception


def connected(url: str, token: str | None, mode: str, statuses: list | None = None):
    """A client that sends `token` as a bearer with every request and notes the status of every answer."""

    async def note(response):
        if statuses is not None:
            statuses.append(response.status_code)

    class Connected:
        async def __aenter__(self):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            hooks = {"response": [note]}
            self.http = httpx2.AsyncClient(
                headers=headers, timeout=httpx2.Timeout(15), trust_env=False, event_hooks=hooks
            )
            self.client = Client(streamable_http_client(url, http_client=self.http), mode=mode)
            return await self.client.__aenter__()

        async def __aexit__(self, *reason):
            try:
                return await self.client.__aexit__(*reason)
            finally:
                await self.http.aclose()

    return Connected()


async def as_user(url: str, token: str, mode: str) -> None:
    async with connected(url, token, mode) as client:
        check(f"{mode}: speaks {MODERN}", client.protocol_version == MODERN, client.protocol_version)
        if mode == "auto":  # a client that is told the revision asks nothing first, so it knows no name
            check(f"{mode}: the server says its name", client.server_info.name == "Portcullis", client.server_info)
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        check(f"{mode}: a user sees get_weather", "get_weather" in tools, list(tools))
        check(f"{mode}: and not list_users", "list_users" not in tools, list(tools))
        weather = tools["get_weather"]
        closed = weather.input_schema.get("additionalProperties") is False and weather.output_schema
        check(f"{mode}: get_weather has closed input and an output schema", bool(closed), weather)

        called = await client.call_tool("get_weather", {"city": "Oslo"})
        content = called.structured_content or {}
        check(f"{mode}: get_weather answers", not called.is_error and content.get("city") == "Oslo", called)
        check(f"{mode}: and has text for clients without structure", bool(called.content[0].text), called)

        wrong = await client.call_tool("get_weather", {"town": "Oslo"})
        text = wrong.content[0].text if wrong.content else ""
        check(f"{mode}: bad arguments are the tool's error", wrong.is_error is True, wrong)
        check(f"{mode}: and the text says which", "city" in text, text)

        try:
            check(f"{mode}: an unknown tool is refused", False, await client.call_tool("no_such_tool", {}))
        except MCPError as error:
            check(f"{mode}: an unknown tool is refused", error.error.code == -32602, error.error)

        many = await asyncio.gather(*(client.call_tool("get_weather", {"city": f"City {n}"}) for n in range(50)))
        right = sum(call.structured_content["city"] == f"City {n}" for n, call in enumerate(many))
        check(f"{mode}: fifty calls at once get their own answers", right == 50, right)


async def as_guest(url: str, token: str, mode: str) -> None:
    async with connected(url, token, mode) as client:
        called = await client.call_tool("get_weather", {"city": "Oslo"})
        check(f"{mode}: a guest may call get_weather", not called.is_error, called)
        try:
            check(f"{mode}: a guest may not call list_users", False, await client.call_tool("list_users", {}))
        except Exception as exception:  # noqa: BLE001 - whatever the client makes of a 403 is looked at
            error = error_in(exception)
            told = isinstance(error, MCPError) and error.error.code == -31403 and "admin:users" in str(error)
            check(f"{mode}: a guest may not call list_users and is told why", told, repr(error))


async def as_nobody(url: str, mode: str) -> None:
    statuses = []
    try:
        async with connected(url, None, mode, statuses) as client:
            await client.call_tool("get_weather", {"city": "Oslo"})
        check(f"{mode}: nobody is refused", False, "let in")
    except Exception as exception:  # noqa: BLE001 - the client's error says nothing of the status, so that is looked at
        refused = bool(statuses) and set(statuses) == {401}
        check(f"{mode}: nobody is refused", refused, (statuses, repr(error_in(exception))))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--mode", default="auto", choices=["auto", MODERN])
    parser.add_argument("--user-token-file", type=pathlib.Path, required=True)
    parser.add_argument("--guest-token-file", type=pathlib.Path, required=True)
    options = parser.parse_args()
    user, guest = (file.read_text().strip() for file in (options.user_token_file, options.guest_token_file))
    for part in (
        as_user(options.url, user, options.mode),
        as_guest(options.url, guest, options.mode),
        as_nobody(options.url, options.mode),
    ):
        try:
            await asyncio.wait_for(part, 60)
        except Exception as exception:  # noqa: BLE001 - the other parts are run all the same
            check(f"{options.mode}: {part.__name__} runs to its end", False, repr(error_in(exception)))


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(1 if failed else 0)
