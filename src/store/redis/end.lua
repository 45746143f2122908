-- Answers the number of the last row that ever was in the stream of a chain, and the lines of the entry that it ends, if
-- that is there still.
--
-- KEYS: the stream.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'0', false} end
local last = '0'
local info = redis.call('XINFO', 'STREAM', KEYS[1])
for n = 1, #info, 2 do
  if info[n] == 'last-generated-id' then last = string.match(info[n + 1], '^(%d+)') end
end
local entry = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {last, entry and string.match(entry[1], '^(%d+)') == last and entry[2][6] or false}
