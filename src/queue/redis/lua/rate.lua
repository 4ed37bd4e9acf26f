-- SPDX-License-Identifier: MIT
--
-- Turns of rates: broker_bucket.c says what is done.
--   KEYS  the key of each rate of each turn
--   ARGV  horizon in us, then for each turn how many rates it has, and the interval of each in us
--   gives {taken (1 or 0), wait in us, ...}
--
local call = redis.call
local PROMISE_MAX = 10 * 365 * 24 * 3600 * 1000000
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local horizon = tonumber(ARGV[1])

local function whole(n)
  return string.format('%.0f', n)
end

local function read(key)
  local value = call('GET', key)
  if not value then
    return 0, 0
  end
  local free, last = string.match(value, '^(%d+) (%d+)$')
  return tonumber(free) or 0, tonumber(last) or 0
end

local function write(key, free, last)
  local ms = math.ceil((math.max(free, last) - now) / 1000)
  if ms > 0 then
    call('SET', key, whole(free) .. ' ' .. whole(last), 'PX', whole(ms))
  end
end

local reply, at, first = {}, 2, 1
while ARGV[at] do
  local n, when = tonumber(ARGV[at]), now
  local free, last = {}, {}
  for i = 1, n do
    free[i], last[i] = read(KEYS[first + i - 1])
    when = math.max(when, free[i])
  end
  local taken = when - now <= horizon
  for i = 1, n do
    if not taken then
      when = math.max(when, last[i] + ARGV[at + i])
    end
  end
  when = math.min(when, now + PROMISE_MAX)
  for i = 1, n do
    if taken then
      write(KEYS[first + i - 1], when + ARGV[at + i], last[i])
    else
      write(KEYS[first + i - 1], free[i], when)
    end
  end
  reply[#reply + 1] = taken and 1 or 0
  reply[#reply + 1] = when - now
  at, first = at + n + 1, first + n
end
return reply
