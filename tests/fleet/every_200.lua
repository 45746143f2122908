-- wrk: the calls of benches/call.lua, each of which has to be answered 200 with the tool's result.
-- wrk … -s every_200.lua URL -- TOKENS_FILE get_weather
-- Prints one JSON line at the end: how many answers came, and how many of them were anything else.
dofile(debug.getinfo(1, "S").source:sub(2):match("(.*/)") .. "../../benches/call.lua")

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

answers, others, example = 0, 0, ""

function response(status, _, body)
  answers = answers + 1
  if status ~= 200 or not body:find('"structuredContent":{"city":"Oslo"', 1, true) then
    others = others + 1
    example = status .. " " .. body:sub(1, 200):gsub('[^%w :,.]', "")
  end
end

function done(summary, _, _)
  local e, all, wrong, seen = summary.errors, 0, 0, ""
  for _, thread in ipairs(threads) do
    all, wrong = all + thread:get("answers"), wrong + thread:get("others")
    seen = seen .. thread:get("example")
  end
  io.write(string.format(
    '\nRESULT {"answers":%d,"others":%d,"example":"%s","connect":%d,"read":%d,"write":%d,"timeout":%d,"seconds":%.1f}\n',
    all, wrong, seen, e.connect, e.read, e.write, e.timeout, summary.duration / 1e6))
end
