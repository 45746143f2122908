"""One call as call.lua sends them, for what is not wrk, and what must come back."""

import json
import urllib.error
import urllib.request

BODY = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "get_weather",
            "arguments": {"city": "Oslo"},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1.0.0"},
            },
        },
    },
    separators=(",", ":"),
)


def headers(token):
    """Those of a call by the bearer of `token`."""
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "get_weather",
        "Authorization": f"Bearer {token}",
    }


def call(server, token):
    """Status and body of an answer."""
    request = urllib.request.Request(server.url, BODY.encode(), headers(token))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def must_answer(server, token):
    """Ends the run unless a call is answered with the tool's result: wrk looks at the status alone."""
    status, body = call(server, token)
    try:
        result = json.loads(body)["result"]
        said = result["structuredContent"]
        good = (status, said["city"], said["temperature"], result.get("isError", False)) == (200, "Oslo", 22.0, False)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise SystemExit(f"{server.name} does not answer with the tool's result: {status} {body[:500]!r}")


def must_refuse(server, token):
    """Ends the run unless a call is refused for its credential."""
    status, body = call(server, token)
    if status != 401:
        raise SystemExit(f"{server.name} does not refuse a forged token: {status} {body[:500]!r}")
