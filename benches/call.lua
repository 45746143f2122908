-- wrk: tools/call with the tokens of a file in turn; prints one JSON line at the end.
-- wrk … -s call.lua URL -- TOKENS_FILE TOOL
-- TOKENS_FILE holds one token or API key a line; an empty file means none. Every request is formatted once.
-- With CLIENT_ADDRESS in the environment each request says that a proxy forwards it from there.

local function body(tool)
  local arguments = tool == "get_weather" and '{"city":"Oslo"}' or "{}"
  return '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"' .. tool
    .. '","arguments":' .. arguments
    .. ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"'
    .. ',"io.modelcontextprotocol/clientCapabilities":{}'
    .. ',"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"}}}}'
end

local requests, turn = {}, 0

function init(args)
  local tool = args[2] or "get_weather"
  local headers = {
    ["Content-Type"] = "application/json",
    ["Accept"] = "application/json, text/event-stream",
    ["MCP-Protocol-Version"] = "2026-07-28",
    ["Mcp-Method"] = "tools/call",
    ["Mcp-Name"] = tool,
  }
  headers["X-Forwarded-For"] = os.getenv("CLIENT_ADDRESS")
  for token in io.lines(args[1]) do
    headers["Authorization"] = "Bearer " .. token
    requests[#requests + 1] = wrk.format("POST", nil, headers, body(tool))
  end
  if #requests == 0 then
    headers["Authorization"] = nil
    requests[1] = wrk.format("POST", nil, headers, body(tool))
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50_us":%.0f,"p99_us":%.0f,"not_2xx":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
