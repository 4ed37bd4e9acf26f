-- SPDX-License-Identifier: MIT
--
-- What kombu's sweep would restore: entries of `unacked` older than the visibility timeout, under
-- kombu's own lock.
--   KEYS  ..., the lock
--   ARGV  our mark in the lock, how long it holds in ms, the visibility timeout in seconds
--   gives nothing if somebody else holds it, else {tag, value, ...}
--
-- include keys.lua
local _, second = clock()
local old = call('ZREVRANGEBYSCORE', INDEX, second - ARGV[3], 0, 'LIMIT', 0, 64)
if #old == 0 or not call('SET', KEYS[9], ARGV[1], 'PX', ARGV[2], 'NX') then
  return {}
end
local reply, values = {}, call('HMGET', UNACKED, unpack(old))
for i = 1, #old do
  reply[2 * i - 1] = old[i]
  reply[2 * i] = values[i] or ''
end
return reply
