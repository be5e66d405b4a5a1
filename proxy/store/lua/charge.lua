-- Charge: take from every bucket of a plan, or only from those that do not bind.
--
-- KEYS     one a charge, in order; a distinct charge has two (its counts, its cells); the account's
--          standing last, where it is asked for
-- ARGV[1]  now in microseconds since the epoch, '' for the server's TIME
-- ARGV[2]  '1' where the last key is a standing, else '0'
-- ARGV[..] eight a charge: kind, binding (1 or 0), cost, p1 .. p5
--   1 rate      cost in 1/scale unit; p1 capacity, p2 drain a microsecond, p3 scale
--   2 budget    p1 amount, p2 .. p5 starts of the last, this, the next window, the one after (us)
--   3 rolling   p1 amount, p2 slice (us), p3 number of slices
--   4 lease     p1 amount, p2 hold (us), p3 token
--   5 distinct  cost 1 or 0 (look only); p1 most cells, p2 slice (us), p3 slices, p4 cell
--   6 exposure  p1 amount, p2 step (us)
-- Returns { now, admitted, then fits, x, y, z a charge, then the standing's bytes ('' for none) where
-- it is asked for } as strings, where x y z are
--   rate level | budget used, start | rolling total, slice, free at | lease held, 0, deadline |
--   distinct cells, slice, free at | exposure value and step as stored
-- or { now, 'clock' } when a budget's four windows do not hold the server's time: nothing is taken
-- (values may have been noted, which noting them again does not change).
-- Stores integers as '%.0f' (Lua prints 14 digits by default) and exposures as '%.17g'.
-- Every key expires a minute after it has become meaningless; a standing is only read here.
-- Begins with common.lua. Mirrors proxy/store/memory.py and proxy/limits/*.py, but for this: a cell keeps its slice modulo
-- 65535, so one in some thousand of the cells not seen for that long is taken for a live one.

-- Forget the slices that have gone by; return total, current slice, head.
local function advance(key, width, slices)
  local stored = redis.call('HMGET', key, 't', 'h')
  local total, head = tonumber(stored[1]) or 0, tonumber(stored[2]) or 0
  local current = math.max(math.floor(now / width), head)
  local first = current - slices
  if head < first then
    if stored[2] then
      for index = head, math.min(first - 1, head + slices) do
        local gone = redis.call('HGET', key, int(index))
        if gone then
          total = total - tonumber(gone)
          redis.call('HDEL', key, int(index))
        end
      end
      redis.call('HSET', key, 't', int(total), 'h', int(first))
    end
    head = first
  end
  return total, current, head
end

-- The moment at which `excess` units will have gone by.
local function freed(key, width, slices, head, excess)
  for index = head, head + slices do -- also slices ahead of a clock that went back
    local held = redis.call('HGET', key, int(index))
    if held then
      excess = excess - tonumber(held)
      if excess <= 0 then return (index + slices + 1) * width end
    end
  end
  return 0
end

local function add(key, index, units)
  redis.call('HINCRBY', key, int(index), int(units))
  redis.call('HINCRBY', key, 't', int(units))
end

local function expire(key, microseconds)
  redis.call('PEXPIRE', key, int(math.ceil(microseconds / 1000) + GRACE))
end

local standing
if ARGV[2] == '1' then
  -- What has been put there as another type is told as what cannot be read: it takes no charge down.
  standing = redis.pcall('GET', KEYS[#KEYS]) or ''
  if type(standing) == 'table' then standing = standing.err end
end

local count = (#ARGV - 2) / 8
local found, at = {}, 1
local admitted = true

for i = 1, count do
  local a = 3 + (i - 1) * 8
  local kind, cost, p1, p2, p3 = ARGV[a], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]),
    tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local key = KEYS[at]
  local one = { a = a, kind = kind, key = key, cost = cost, x = 0, y = 0, z = 0 }
  if kind == '1' then
    local level, stamp = read_rate(key, p2, p3)
    one.x, one.stamp = level, stamp
    one.fits = level + cost <= p1
  elseif kind == '2' then
    local p4, p5 = tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])
    if now < p2 or now >= p5 then return { int(now), 'clock' } end
    local start, turns = p2, p3
    if now >= p4 then start, turns = p4, p5 elseif now >= p3 then start, turns = p3, p4 end
    local used = 0
    local stored = redis.call('GET', key)
    if stored then
      local s, u = string.match(stored, '^(%d+) (%d+)$')
      if tonumber(s) > start then start, turns = tonumber(s), p5 end
      if tonumber(s) == start then used = tonumber(u) end
    end
    one.x, one.y, one.turns = used, start, turns
    one.fits = used + cost <= p1
  elseif kind == '3' then
    local total, current, head = advance(key, p2, p3)
    one.x, one.y, one.head = total, current, head
    one.fits = total + cost <= p1
    if not one.fits then one.z = freed(key, p2, p3, head, total + cost - p1) end
  elseif kind == '4' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', int(now))
    one.x = redis.call('ZCARD', key)
    one.fits = one.x + cost <= p1
    if not one.fits then
      local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
      one.z = tonumber(first[2]) or 0
    end
  elseif kind == '5' then
    local cells = KEYS[at + 1]
    at = at + 1
    local total, current, head = advance(key, p2, p3)
    if cost == 1 then
      local offset = tonumber(ARGV[a + 6]) * 2
      local code = current % 65535 + 1
      local high, low = string.byte(redis.call('GETRANGE', cells, offset, offset + 1), 1, 2)
      local before = (high or 0) * 256 + (low or 0)
      local age = (code - before) % 65535
      -- Seen ahead of now (a clock went back) is counted there already: (-age) % 65535 <= p3.
      if before == 0 or (before - code) % 65535 > p3 then
        if before ~= 0 and age <= p3 then add(key, current - age, -1) total = total - 1 end
        add(key, current, 1)
        total = total + 1
        redis.call('HSETNX', key, 'h', int(head))
        redis.call('SETRANGE', cells, offset,
          string.char(math.floor(code / 256), code % 256))
      end
      expire(key, (p3 + 2) * p2)
      expire(cells, (p3 + 2) * p2)
    end
    one.x, one.y = total, current
    one.fits = total <= p1
    if not one.fits then one.z = freed(key, p2, p3, head, total - p1) end
  else
    one.value, one.step, one.x, one.y = read_exposure(key, p2)
    one.fits = one.value + cost <= p1
  end
  at = at + 1
  if not one.fits and ARGV[a + 1] == '1' then admitted = false end
  found[i] = one
end

local answer = { int(now), admitted and '1' or '0' }
for i = 1, count do
  local one = found[i]
  local a, key, cost = one.a, one.key, one.cost
  local p2, p3 = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  if admitted or ARGV[a + 1] == '0' then
    if one.kind == '1' then
      write_rate(key, p2, p3, math.min(FULL, one.x + cost), one.stamp)
    elseif one.kind == '2' then
      redis.call('SET', key, int(one.y) .. ' ' .. int(one.x + cost),
        'PX', int(math.ceil((one.turns - now) / 1000) + GRACE))
    elseif one.kind == '3' then
      add(key, one.y, cost)
      redis.call('HSETNX', key, 'h', int(one.head))
      expire(key, (p3 + 2) * p2)
    elseif one.kind == '4' then
      redis.call('ZADD', key, int(now + p2), ARGV[a + 5])
      expire(key, p2)
    elseif one.kind == '6' then
      write_exposure(key, p2, one.value + cost, one.step)
    end
  end
  answer[#answer + 1] = one.fits and '1' or '0'
  answer[#answer + 1] = one.kind == '6' and string.format('%.17g', one.x) or int(one.x)
  answer[#answer + 1] = int(one.y)
  answer[#answer + 1] = int(one.z)
end
answer[#answer + 1] = standing -- nil adds nothing
return answer
