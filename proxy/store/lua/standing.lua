-- Standing: put an account at a level, or make it clear, and note that in its history.
--
-- KEYS[1]  the account's standing, KEYS[2] its history; one hash tag
-- ARGV[1]  the standing, '' to make the account clear
-- ARGV[2]  when it has run out, milliseconds since the epoch, rounded up
-- ARGV[3]  the entry for the history
-- ARGV[4]  entries that a history keeps at most, ARGV[5] milliseconds that it is kept from now on
-- Returns the standing that was there, '' for none.
-- A standing expires when it has run out; who reads it looks at the microsecond.
-- Mirrors MemoryStandings in proxy/store/standings.py.

local before = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
end
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[4]) - 1)
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return before or ''
