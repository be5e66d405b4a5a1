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
-- Begins with common.lua. Mirrors proxy/store/memory.py.

for i = 1, #KEYS do
  local a = 2 + (i - 1) * 5
  local key, kind, delta = KEYS[i], ARGV[a], tonumber(ARGV[a + 1])
  local p1, p2, p3 = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  if kind == '1' then
    local level, stamp = read_rate(key, p1, p2)
    write_rate(key, p1, p2, math.max(0, math.min(FULL, level + delta)), stamp)
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
    local value, step = read_exposure(key, p1)
    write_exposure(key, p1, math.max(0, value + decayed(delta, step - p2)), step)
  elseif kind == '7' then
    redis.call('ZADD', key, 'XX', int(now + p2), ARGV[a + 2])
    redis.call('PEXPIRE', key, int(math.ceil(p2 / 1000) + GRACE))
  end
end
return int(now)
