-- Lift: put an account at a level, unless somebody has changed its standing since it was read.
--
-- KEYS[1]  the account's standing, KEYS[2] its history; one hash tag
-- ARGV[1]  the standing
-- ARGV[2]  when all of it has run out, milliseconds since the epoch, rounded up
-- ARGV[3]  the entry for the history
-- ARGV[4]  entries that a history keeps at most, ARGV[5] milliseconds that it is kept from now on
-- ARGV[6]  the standing that was read, ARGV[7] the newest entry that was read; '' for none
-- ARGV[8]  '1' where the entry takes the place of the newest
-- Returns '1' when it was put, '' when standing or history are other than what was read.
-- What is put is said by `lifted` and `pardoned` in proxy/core/standing.py, in whose words this only
-- compares. Mirrors MemoryStandings.lift_now in proxy/store/standings.py.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[6] then return '' end
if (redis.call('LINDEX', KEYS[2], 0) or '') ~= ARGV[7] then return '' end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
if ARGV[8] == '1' then
  redis.call('LSET', KEYS[2], 0, ARGV[3])
else
  redis.call('LPUSH', KEYS[2], ARGV[3])
  redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[4]) - 1)
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return '1'
