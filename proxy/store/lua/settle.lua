-- Settle: correct taken charges, give leases back, renew leases.
--
-- KEYS     one a correction, in order
-- ARGV[1]  now in microseconds since the epoch, '' for the server's TIME
-- ARGV[..] five a correction: kind, delta, p1 .. p3
--   1 rate      delta in 1/scale unit; p1 drain a microsecond, p2 scale
--   2 budget    p1 mark: the window's start; another window is not corrected
--   3 rolling   p1 slice (us), p2 number of slices, p3 mark: the slice; one gone by is not corrected
--   4 lease     p1 token: given back
--   6 exposure  p1 step (us), p2 mark: the step of the charge
--   7 renewal   p1 token, p2 hold (us): only a slot still held is renewed
-- Returns now. Nothing goes below zero. Formats and expiries as in charge.lua.
-- Mirrors proxy/store/memory.py.

local GRACE = 60000
local FULL = 4503599627370496 -- 2^52: a level above it is held there
local FACTORS = {
  0.70710678118654757, 0.8408964152537145, 0.91700404320467122, 0.9576032806985737,
  0.97857206208770009, 0.98922801319397546, 0.99459942348363317, 0.99729605608547012,
  0.99864711289097019, 0.99932332750265074,
}
local int = function(number) return string.format('%.0f', number) end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function decayed(value, steps)
  if steps <= 0 then return value end
  local halves = math.floor(steps / 1024)
  local rest = steps - halves * 1024
  if halves > 1000 then return 0 end
  value = math.ldexp(value, -halves)
  local bit = 512
  for i = 1, 10 do
    if rest >= bit then
      value = value * FACTORS[i]
      rest = rest - bit
    end
    bit = bit / 2
  end
  return value
end

for i = 1, #KEYS do
  local a = 2 + (i - 1) * 5
  local key, kind, delta = KEYS[i], ARGV[a], tonumber(ARGV[a + 1])
  local p1, p2, p3 = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  if kind == '1' then
    local level, stamp = 0, now
    local stored = redis.call('GET', key)
    if stored then
      local l, s, scale = string.match(stored, '^(%d+) (%d+) (%d+)$')
      level, stamp, scale = tonumber(l), tonumber(s), tonumber(scale)
      if scale ~= p2 then level = math.min(FULL, math.ceil(level * p2 / scale)) end
      level = math.max(0, level - math.max(0, now - stamp) * p1)
      stamp = math.max(now, stamp)
    end
    level = math.max(0, math.min(FULL, level + delta))
    redis.call('SET', key, int(level) .. ' ' .. int(stamp) .. ' ' .. int(p2),
      'PX', int(math.ceil((level / p1 + stamp - now) / 1000) + GRACE))
  elseif kind == '2' then
    local stored = redis.call('GET', key)
    if stored then
      local s, u = string.match(stored, '^(%d+) (%d+)$')
      if tonumber(s) == p1 then
        redis.call('SET', key, s .. ' ' .. int(math.max(0, tonumber(u) + delta)), 'KEEPTTL')
      end
    end
  elseif kind == '3' then
    local head = tonumber(redis.call('HGET', key, 'h'))
    if head and p3 >= math.max(head, math.floor(now / p1) - p2) then
      local held = tonumber(redis.call('HGET', key, int(p3))) or 0
      local change = math.max(0, held + delta) - held
      redis.call('HINCRBY', key, int(p3), int(change))
      redis.call('HINCRBY', key, 't', int(change))
    end
  elseif kind == '4' then
    redis.call('ZREM', key, ARGV[a + 2])
  elseif kind == '6' then
    local value, step = 0, math.floor(now / p1)
    local stored = redis.call('GET', key)
    if stored then
      local v, s = string.match(stored, '^(%S+) (%d+)$')
      s = tonumber(s)
      step = math.max(step, s)
      value = decayed(tonumber(v), step - s)
    end
    value = math.max(0, value + decayed(delta, step - p2))
    redis.call('SET', key, string.format('%.17g', value) .. ' ' .. int(step),
      'PX', int(math.ceil(p1 * 1024 * 40 / 1000) + GRACE))
  elseif kind == '7' then
    redis.call('ZADD', key, 'XX', int(now + p2), ARGV[a + 2])
    redis.call('PEXPIRE', key, int(math.ceil(p2 / 1000) + GRACE))
  end
end
return int(now)
