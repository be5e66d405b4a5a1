-- What both scripts begin with; proxy/store/scripts.py puts it before each.
--
-- ARGV[1]  now in microseconds since the epoch, '' for the server's TIME
-- Gives `now`, the formats (`int`: Lua prints 14 digits by default; exposures as '%.17g'), the grace
-- after which a meaningless key expires (ms), and how a rate and an exposure are read and written.
-- Touches the one key that each function is given, which its caller was passed in KEYS.
-- Mirrors proxy/limits/rate.py (level) and proxy/limits/exposure.py (decayed).

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

-- A rate's level now, in 1/scale unit, and the moment it is of. `drain`: level that runs off a us.
local function read_rate(key, drain, scale)
  local stored = redis.call('GET', key)
  if not stored then return 0, now end
  local l, s, was = string.match(stored, '^(%d+) (%d+) (%d+)$')
  local level, stamp = tonumber(l), tonumber(s)
  if tonumber(was) ~= scale then
    level = math.min(FULL, math.ceil(level * scale / tonumber(was)))
  end
  return math.max(0, level - math.max(0, now - stamp) * drain), math.max(now, stamp)
end

local function write_rate(key, drain, scale, level, stamp)
  redis.call('SET', key, int(level) .. ' ' .. int(stamp) .. ' ' .. int(scale),
    'PX', int(math.ceil((level / drain + stamp - now) / 1000) + GRACE))
end

-- An exposure's value now and the step it is of, and both as stored. `width`: of a step (us).
local function read_exposure(key, width)
  local step = math.floor(now / width)
  local stored = redis.call('GET', key)
  if not stored then return 0, step, 0, 0 end
  local value, was = string.match(stored, '^(%S+) (%d+)$')
  value, was = tonumber(value), tonumber(was)
  step = math.max(step, was)
  return decayed(value, step - was), step, value, was
end

local function write_exposure(key, width, value, step)
  redis.call('SET', key, string.format('%.17g', value) .. ' ' .. int(step),
    'PX', int(math.ceil(width * 1024 * 40 / 1000) + GRACE))
end
