-- Adds a row that nobody can read, above all that a reader has seen: rows that it had read are lost, and their ids
-- may be used again. Answers the row's id, or 0 if this is another store.
--
-- KEYS: the change feed, its counter, the generation. ARGV: the generation that is expected; the last row that was
-- read; when (microseconds).
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
local newest = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[2]))
for _, row in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)) do
  newest = math.max(newest, tonumber(string.match(row[1], '^%d+')))
end
local id = string.format('%.0f', newest + 1)
redis.call('SET', KEYS[2], id)
redis.call('XADD', KEYS[1], id .. '-0', 'at', ARGV[3], 'what', '?')
return newest + 1
