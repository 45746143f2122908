-- Reads sessions, and how much longer each lives: two texts a session, the first empty if there is none. What is no
-- text is none of ours, and goes.
--
-- KEYS: the sessions.
local found = {}
for n, key in ipairs(KEYS) do
  local text = redis.pcall('GET', key)
  if type(text) == 'table' then
    redis.call('DEL', key)
    text = false
  end
  found[2 * n - 1] = text or ''
  found[2 * n] = string.format('%.0f', redis.call('PTTL', key))
end
return found
