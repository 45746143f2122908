-- Forgets the oldest entries of a chain's stream that are too old; answers how many rows, or -1 if there is no stream.
--
-- KEYS: the stream.
-- ARGV: before when (microseconds), how many entries are looked at.
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
local before, old, rows = tonumber(ARGV[1]), {}, 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])) do
  local at = entry[2][1] == 'at' and tonumber(entry[2][2])
  -- An entry that says no time is none of ours.
  if at and at >= before then break end
  old[#old + 1] = entry[1]
  -- What somebody else has written there is no number of ours, and one below 0 would say that there is no stream.
  rows = rows + math.max(1, tonumber(entry[2][4]) or 1)
end
if #old > 0 then redis.call('XDEL', KEYS[1], unpack(old)) end
return rows
