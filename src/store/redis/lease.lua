-- Reports on one server's slice of a bucket, and gives it more if there is enough. Time is this server's.
--
-- A bucket is how many calls are missing from it, and of those how many each server holds. It fills as time goes,
-- but never further than to what servers hold, so what is left and what is held are never more than the capacity.
--
-- KEYS: the bucket. ARGV: holder; capacity; calls a second; used; returned; needed; wanted; for how long a slice is
-- its holder's (ms) from when it was given
-- more. Answers: calls given; calls left; if none are given, microseconds until as many as are needed. -1 given says
-- that what was there did not read: it is dropped, and in its place is an empty bucket, since what was given away of
-- the other is not known.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local holder, capacity, rate = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) / 1000000
local needed, wanted, life = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]) * 1000

local missing, at, held, own, own_ends = 0, now, 0, 0, now
local gone, gone_at = 0, 0

-- More than any bucket holds; longer than clocks of two nodes differ; more than there are servers.
local most, drift, holders = 2000000000, 3600000000, 4096
local function put(lacking, upto)
  redis.call('HSET', KEYS[1], 'missing', string.format('%.17g', lacking), 'at', string.format('%.0f', upto))
end
local function expire(lacking)
  local full = math.min(lacking / rate / 1000, 315360000000) + life / 1000
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(full)))
end
local function unreadable()
  redis.call('DEL', KEYS[1])
  put(capacity, now)
  expire(capacity)
  return { -1, 0, '0' }
end
-- What is no number fits nowhere, whatever is asked of it.
local function fits(number, upto) return number ~= nil and number >= 0 and number <= upto end

local kept = redis.pcall('HGETALL', KEYS[1])
if kept.err or #kept > 2 * holders then return unreadable() end
for n = 1, #kept, 2 do
  local name, value = kept[n], kept[n + 1]
  if #value > 64 then return unreadable() end
  if name == 'missing' then
    missing = tonumber(value)
    if not fits(missing, most) then return unreadable() end
  elseif name == 'at' then
    at = tonumber(value)
    if not fits(at, now + drift) then return unreadable() end
  else
    local calls, ends = string.match(value, '^(%d+) (%d+)$')
    calls, ends = tonumber(calls), tonumber(ends)
    if not (fits(calls, most) and fits(ends, now + life + drift)) then return unreadable() end
    if ends <= now then
      redis.call('HDEL', KEYS[1], name)
      gone, gone_at = gone + calls, math.max(gone_at, ends)
    else
      held = held + calls
      if name == holder then own, own_ends = calls, ends end
    end
  end
end

-- What has ended was held until then: meanwhile the bucket could not fill as far as it can now.
local function fill(floor, upto)
  missing = math.max(math.min(floor, missing), missing - math.max(0, upto - at) * rate)
  at = math.max(at, upto)
end
fill(held + gone, gone_at)
fill(held, now)
local used = math.min(tonumber(ARGV[4]), own)
local returned = math.min(tonumber(ARGV[5]), own - used)
own = own - used - returned
missing = math.max(0, missing - returned)

local free = math.floor(math.max(0, capacity - missing))
local given, wait = 0, 0
if wanted > 0 then
  if free >= needed then
    given = math.min(wanted, free)
    own, missing, free = own + given, missing + given, free - given
  else
    wait = math.ceil((needed - (capacity - missing)) / rate)
  end
end

put(missing, at)
if own > 0 then
  -- Only a gift makes it longer: what was given by an answer that got lost is nobody's, and has to end.
  local ends = given > 0 and now + life or own_ends
  redis.call('HSET', KEYS[1], holder, string.format('%.0f %.0f', own, ends))
else
  redis.call('HDEL', KEYS[1], holder)
end
expire(missing)
return { given, free, string.format('%.0f', wait) }
