-- Adds the uses of one batch, unless it was added before; uses of keys that are gone are passed over. Answers -1 if this
-- is another store.
--
-- KEYS: the last batch of this writer, the hash of uses, the generation, then the index entry of each key.
-- ARGV: the batch's number, how long its writer is remembered (seconds), the generation that is expected;
--       for each key: its id, how often it was used, when for the last time (microseconds).
if redis.call('GET', KEYS[3]) ~= ARGV[3] then return -1 end
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for n = 4, #KEYS do
  local at = 3 * n - 8
  if redis.call('EXISTS', KEYS[n]) == 1 then
    local id, count, when = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    redis.call('HINCRBY', KEYS[2], id .. ':count', count)
    if tonumber(when) > tonumber(redis.call('HGET', KEYS[2], id .. ':last') or '0') then
      redis.call('HSET', KEYS[2], id .. ':last', when)
    end
  end
end
return 1
