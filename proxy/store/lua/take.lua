-- Take: return what is reserved for a stored object, and leave its claim without it.
--
-- KEYS[1]  the object's claim, as proxy/store/claims.py writes it: a line, then the reservation
-- Returns the reservation, '' where there is none (any more). How long the claim is kept stays.
-- Mirrors MemoryObjects.take_reservation in proxy/store/objects.py.

local kept = redis.call('GET', KEYS[1])
local line, reservation = string.match(kept or '', '^([^\n]*\n)(.*)$')
if not line then return '' end
redis.call('SET', KEYS[1], line, 'KEEPTTL')
return reservation
