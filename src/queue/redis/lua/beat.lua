-- SPDX-License-Identifier: MIT
--
-- A handle says that it lives, and hears of others that have not said so for some time.
--   KEYS  ..., the beats
--   ARGV  the handle, microseconds after which one is late
--   gives {handle, when it said so last, ...}
--
-- include keys.lua
local now = clock()
call('ZADD', KEYS[9], whole(now), ARGV[1])
return call('ZRANGEBYSCORE', KEYS[9], '-inf', whole(now - ARGV[2]), 'WITHSCORES', 'LIMIT', 0, 16)
