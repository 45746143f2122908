-- wrk: the calls of call.lua, but each token of the file once; then wrk itself ends. One thread (-t1).
-- wrk alone would wait for the end of its time, and count that: so this says what was seen, and ends the process.
dofile(debug.getinfo(1, "S").source:sub(2):match("(.*/)") .. "call.lua")

local ffi = require("ffi")
ffi.cdef("typedef struct { long secs; long nanos; } moment; int clock_gettime(int clock, moment *into);")
local into = ffi.new("moment")

local function now()
  ffi.C.clock_gettime(1, into)
  return tonumber(into.secs) + tonumber(into.nanos) / 1e9
end

local left, answered, not_2xx, began = 0, 0, 0, nil
local init_of_file, request_of_file = init, request

function init(args)
  init_of_file(args)
  for _ in io.lines(args[1]) do
    left = left + 1
  end
end

function request()
  began = began or now()
  return request_of_file()
end

-- What is sent beyond the file's end, while the last answers come, is its first tokens again.
function response(status)
  answered = answered + 1
  if status < 200 or status > 299 then
    not_2xx = not_2xx + 1
  end
  if answered >= left then
    io.write(string.format('\nRESULT {"requests":%d,"seconds":%.6f,"not_2xx":%d,"broken":0}\n', answered, now() - began, not_2xx))
    io.flush()
    os.exit(0)
  end
end
