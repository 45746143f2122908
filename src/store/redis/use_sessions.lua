-- Makes sessions live longer, never shorter; answers which of them are there.
--
-- KEYS: for each session itself, and the index of its owner.
-- ARGV: for each how long (milliseconds), until when (the same, as a moment), its name in the index.
local there = {}
for n = 1, #KEYS, 2 do
  local at = (n - 1) / 2
  local session, index = KEYS[n], KEYS[n + 1]
  local lives, ends, name = ARGV[3 * at + 1], ARGV[3 * at + 2], ARGV[3 * at + 3]
  there[at + 1] = redis.call('EXISTS', session)
  if there[at + 1] == 1 and redis.call('PTTL', session) < tonumber(lives) then
    redis.call('PEXPIRE', session, lives)
    redis.call('ZADD', index, 'XX', 'GT', ends, name)
  end
end
return there
