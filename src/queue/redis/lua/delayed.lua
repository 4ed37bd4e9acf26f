-- SPDX-License-Identifier: MIT
--
-- The delayed messages of a queue, among those of all, by when they are due.
--   KEYS  ..., the queue's lists
--   ARGV  from which of all, how many to look at, how many to give, bytes that end it
--   gives {the next to look at, or -1, how many the queue has, when it is due, envelope, ...}
--
-- include keys.lua
-- include part_undelay.lua
local mine, total = {}, 0
for k = 9, #KEYS do
  mine[KEYS[k]] = true
  total = total + (call('HGET', COUNTS, KEYS[k]) or 0)
end
local from, most, left, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local all = call('ZRANGE', DELAYED, from, from + most - 1, 'WITHSCORES')
local reply = {from + #all / 2, total}
for i = 1, #all, 2 do
  local envelope = mine[list_of(all[i])] and delayed_text(all[i])
  if envelope then
    reply[#reply + 1] = all[i + 1]
    reply[#reply + 1] = envelope
    left = left - 1
    bytes = bytes - #envelope
    if left <= 0 or bytes <= 0 then
      reply[1] = from + (i + 1) / 2
      return reply
    end
  end
end
if #all < 2 * most then
  reply[1] = -1
end
return reply
