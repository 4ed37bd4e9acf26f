-- SPDX-License-Identifier: MIT
--
-- What all scripts begin with: the names of the keys, in the order of redis_queue_key in
-- broker_redis.h. What several need is in files of its own, which each includes as it needs them:
-- a function costs time when it is made, called or not. A script never looks into an envelope: it
-- is text that somebody else wrote, and an error after a pop is not rolled back.
local UNACKED, INDEX, LEASES, DELAYED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local COUNTS, DEAD, DIED, ALARM = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local call = redis.call

-- The server's own time, in microseconds and in whole seconds: one clock for all who lease.
local function clock()
  local t = call('TIME')
  return t[1] * 1000000 + t[2], t[1]
end

-- A whole number as text: Lua would write 1.5e+15.
local function whole(n)
  return string.format('%.0f', n)
end
