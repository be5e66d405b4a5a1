-- Due: mark accounts, claim some that are due, or give claimed ones back.
--
-- KEYS[1]  sorted set of the accounts that have changed, by the moment from which they are due
-- KEYS[2]  sorted set of those that are claimed, by the end of their lease; one hash tag
-- ARGV[1]  what to do; moments are the server's, microseconds since the epoch
--   'mark'   ARGV[2] microseconds until they are due; ARGV[3..] accounts. One that is due sooner
--            stays so. Returns ''
--   'claim'  ARGV[2] the most, ARGV[3] microseconds of the lease. Accounts whose lease has run out
--            are due again first. Returns pairs: account, end of the lease
--   'done'   ARGV[2..] pairs: account, end of the lease that it was claimed with: a claim that has
--            passed on to somebody else stays theirs. Returns ''
-- Mirrors MemoryProfiles in proxy/store/profiles.py.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local what = ARGV[1]

if what == 'mark' then
  local at = string.format('%.0f', now + tonumber(ARGV[2]))
  for i = 3, #ARGV do redis.call('ZADD', KEYS[1], 'LT', at, ARGV[i]) end
  return ''
end

if what == 'done' then
  for i = 2, #ARGV, 2 do
    local held = redis.call('ZSCORE', KEYS[2], ARGV[i])
    if held and tonumber(held) == tonumber(ARGV[i + 1]) then redis.call('ZREM', KEYS[2], ARGV[i]) end
  end
  return ''
end

local moment = string.format('%.0f', now)
for _, account in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', moment)) do
  redis.call('ZREM', KEYS[2], account)
  redis.call('ZADD', KEYS[1], 'LT', moment, account)
end
local lease = string.format('%.0f', now + tonumber(ARGV[3]))
local most = tonumber(ARGV[2])
local given = {}
local held = redis.call('ZCARD', KEYS[2])
for _, account in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', moment, 'LIMIT', 0, most + held)) do
  if #given >= 2 * most then break end
  if not redis.call('ZSCORE', KEYS[2], account) then
    redis.call('ZREM', KEYS[1], account)
    redis.call('ZADD', KEYS[2], lease, account)
    given[#given + 1] = account
    given[#given + 1] = lease
  end
end
return given
