-- Does all of it, if everything that it was planned on is still so; answers 1, or 0 if something has changed.
--
-- KEYS: the change feed, its counter, then every other key that is touched (in a cluster all of one slot).
-- ARGV: how many checks, writes and changes to tell;
--       a check  = key, field ("" for a plain key), "-" for nothing there or "+" and the text that is there;
--       a write  = how many words, then the command;
--       a change = when (microseconds), what;
--       last     = before when rows of the feed are pruned (microseconds), how many are looked at.
local next = 4
for _ = 1, tonumber(ARGV[1]) do
  local key, field, expected = ARGV[next], ARGV[next + 1], ARGV[next + 2]
  local there
  if field == '' then there = redis.call('GET', key) else there = redis.call('HGET', key, field) end
  if (there and '+' .. there or '-') ~= expected then return 0 end
  next = next + 3
end
for _ = 1, tonumber(ARGV[2]) do
  local words = tonumber(ARGV[next])
  redis.call(unpack(ARGV, next + 1, next + words))
  next = next + words + 1
end
for _ = 1, tonumber(ARGV[3]) do
  local id = string.format('%.0f', redis.call('INCR', KEYS[2]))
  redis.call('XADD', KEYS[1], id .. '-0', 'at', ARGV[next], 'what', ARGV[next + 1])
  next = next + 2
end
if tonumber(ARGV[3]) > 0 then
  local kept_from, first_kept = tonumber(ARGV[next]), nil
  for _, row in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[next + 1])) do
    if tonumber(row[2][2]) >= kept_from then first_kept = row[1] break end
    first_kept = '(' .. row[1]
  end
  if first_kept and string.sub(first_kept, 1, 1) == '(' then
    local after = redis.call('XRANGE', KEYS[1], first_kept, '+', 'COUNT', 1)
    first_kept = after[1] and after[1][1]
  end
  if first_kept then redis.call('XTRIM', KEYS[1], 'MINID', first_kept) end
end
return 1
