-- Adds entries to the stream of a chain, if it ends where the sender believes; answers how many older rows had to go,
-- or -1 if it ends elsewhere.
--
-- KEYS: the stream.
-- ARGV: number of the record that must be the last one (0 for none), which entries stay (number of the first that may),
--       for how long (milliseconds); then of each entry the number of its last row, that one's time (microseconds), how
--       many rows it holds, and their lines, packed.
local last = '0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for n = 1, #info, 2 do
    if info[n] == 'last-generated-id' then last = string.match(info[n + 1], '^(%d+)') end
  end
end
if last ~= ARGV[1] then return -1 end
for n = 4, #ARGV, 4 do
  redis.call('XADD', KEYS[1], ARGV[n] .. '-0', 'at', ARGV[n + 1], 'rows', ARGV[n + 2], 'lz4', ARGV[n + 3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
-- The number before the first row.
local function before()
  local entry = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  return string.match(entry[1], '^(%d+)') - (tonumber(entry[2][4]) or 1)
end
local was = before()
if redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2]) == 0 then return 0 end
return math.max(0, before() - was)
