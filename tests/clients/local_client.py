#!/usr/bin/env python3
"""The official Python MCP client with a server of its own over stdio: one line a check, exit 1 if one failed.

local_client.py BINARY FOLDER KEY_FILE --mode auto     FOLDER holds the settings; PORTCULLIS__… as in the environment

The key comes in a file, so that it stands in no process list.
"""

import argparse
import asyncio
import os
import pathlib
import sys

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

MODERN = "2026-07-28"
failed = 0


def check(name: str, good: bool, seen: object) -> None:
    """Prints one line; what was seen only if it was not what should be seen."""
    global failed
    failed += not good
    print(f"ok   {name}" if good else f"FAIL {name}: {str(seen)[:400]}", flush=True)


async def use(client: Client, mode: str) -> None:
    modern = client.protocol_version == MODERN
    check(f"{mode}: speaks the revision of its era", modern == (mode != "legacy"), client.protocol_version)
    tools = {tool.name for tool in (await client.list_tools()).tools}
    check(f"{mode}: sees what its key may call, and nothing else", "get_weather" in tools and "list_users" not in tools, tools)
    called = await client.call_tool("get_weather", {"city": "Oslo"})
    check(f"{mode}: get_weather answers", not called.is_error and called.structured_content["city"] == "Oslo", called)
    wrong = await client.call_tool("get_weather", {"town": "Oslo"})
    check(f"{mode}: bad arguments are the tool's error", wrong.is_error is True and "city" in wrong.content[0].text, wrong)
    try:
        check(f"{mode}: a denied tool is refused", False, await client.call_tool("list_users", {}))
    except MCPError as error:
        told = error.error.code == -31403 and "admin:users" in str(error)
        check(f"{mode}: a denied tool is refused and it is told why", told, repr(error))
    many = await asyncio.gather(*(client.call_tool("get_weather", {"city": f"City {n}"}) for n in range(8)))
    right = sum(call.structured_content["city"] == f"City {n}" for n, call in enumerate(many))
    check(f"{mode}: eight calls at once get their own answers", right == 8, right)
    prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
    check(f"{mode}: prompts are listed", isinstance(prompts, list), prompts)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    parser.add_argument("folder")
    parser.add_argument("key_file", type=pathlib.Path)
    parser.add_argument("--mode", default="auto", choices=["auto", "legacy", MODERN])
    options = parser.parse_args()
    # The client hands a server little of its own environment, as those of desktops do.
    environment = {k: v for k, v in os.environ.items() if k.startswith("PORTCULLIS__")}
    environment["PORTCULLIS_API_KEY"] = options.key_file.read_text().strip()
    server = StdioServerParameters(command=options.binary, args=["stdio"], env=environment, cwd=options.folder)
    try:
        async with asyncio.timeout(60), Client(stdio_client(server), mode=options.mode) as client:
            await use(client, options.mode)
        check(f"{options.mode}: it ends in order", True, None)
    except BaseException as exception:  # noqa: BLE001 - whatever ends it is looked at
        check(f"{options.mode}: it runs to its end", False, repr(exception))


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(1 if failed else 0)
