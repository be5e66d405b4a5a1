-- Due: note accounts that are about to change, mark those that have, claim some, give some back.
--
-- KEYS[1]  sorted set of the accounts that have changed, by the moment since which they are due
-- KEYS[2]  sorted set of those that are claimed, by the end of their lease
-- KEYS[3]  sorted set of what is about to change: the writer's name (8 bytes), then the account, by
--          the moment from which its writer is taken to be dead; one hash tag
-- ARGV[1]  what to do; moments are the server's, microseconds since the epoch
--   'soon'   ARGV[2] microseconds that the writer has, ARGV[3] the writer, ARGV[4..] accounts.
--            Returns ''
--   'mark'   ARGV[2] the writer, ARGV[3..] accounts: due now, or since when they were. Returns ''
--   'claim'  ARGV[2] the most, ARGV[3] microseconds of the lease. Accounts whose lease or whose
--            writer's time has run out are due again first. Returns pairs: account, end of the lease
--   'done'   ARGV[2..] pairs: account, end of the lease that it was claimed with: a claim that has
--            passed on to somebody else stays theirs. Returns ''
-- Empty sets are no keys. Mirrors MemoryProfiles in proxy/store/profiles.py.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local moment = string.format('%.0f', now)
local what = ARGV[1]

if what == 'soon' then
  local at = string.format('%.0f', now + tonumber(ARGV[2]))
  for i = 4, #ARGV do redis.call('ZADD', KEYS[3], at, ARGV[3] .. ARGV[i]) end
  return ''
end

if what == 'mark' then
  for i = 3, #ARGV do
    redis.call('ZADD', KEYS[1], 'LT', moment, ARGV[i])
    redis.call('ZREM', KEYS[3], ARGV[2] .. ARGV[i])
  end
  return ''
end

if what == 'done' then
  for i = 2, #ARGV, 2 do
    if redis.call('ZSCORE', KEYS[2], ARGV[i]) == ARGV[i + 1] then
      redis.call('ZREM', KEYS[2], ARGV[i])
    end
  end
  return ''
end

for _, account in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', moment)) do
  redis.call('ZREM', KEYS[2], account)
  redis.call('ZADD', KEYS[1], 'LT', moment, account)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', moment)) do
  redis.call('ZREM', KEYS[3], member)
  redis.call('ZADD', KEYS[1], 'LT', moment, string.sub(member, 9))
end
local lease = string.format('%.0f', now + tonumber(ARGV[3]))
local most = tonumber(ARGV[2])
local given = {}
local held = redis.call('ZCARD', KEYS[2])
for _, account in ipairs(redis.call('ZRANGE', KEYS[1], 0, most + held - 1)) do
  if #given >= 2 * most then break end
  if not redis.call('ZSCORE', KEYS[2], account) then
    redis.call('ZREM', KEYS[1], account)
    redis.call('ZADD', KEYS[2], lease, account)
    given[#given + 1] = account
    given[#given + 1] = lease
  end
end
return given
