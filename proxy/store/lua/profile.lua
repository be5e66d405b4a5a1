-- Profile: put a profile in the place of the one that was read.
--
-- KEYS[1]  the account's profile
-- ARGV[1]  the first 13 bytes of what was read (its version and nonce, which no two share), '' for
--          nothing, and for what is no string
-- ARGV[2]  the new profile, sealed, ARGV[3] milliseconds that it is kept
-- Returns '1' when it was put, '' where somebody else was faster.
-- Mirrors the merging in proxy/store/profiles.py, of which this only compares and writes.

local kind = redis.call('TYPE', KEYS[1]).ok
local stamp = kind == 'string' and redis.call('GETRANGE', KEYS[1], 0, 12) or ''
if stamp ~= ARGV[1] then return '' end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return '1'
