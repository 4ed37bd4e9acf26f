-- SPDX-License-Identifier: MIT
--
-- Tells once more what a fetch has taken, whose answer was lost, and makes its leases last from
-- now on. If it has taken nothing, it never will: its call may still be on the way.
--   KEYS  ..., what is left behind of a fetch that is given up
--   ARGV  most messages that it may have taken, how many it has, or 0: not known; microseconds,
--         the tags' beginning, seconds added to the score, ms that it is remembered
--   gives {number of the tag, value in `unacked`}...
--
-- include keys.lua
-- include part_tag.lua
local now, second = clock()
local tags = {}
for i = 1, tonumber(ARGV[1]) do
  tags[i] = ARGV[4] .. place(i - 1)
end
local values, reply, n = call('HMGET', UNACKED, unpack(tags)), {}, 0
local score = whole(second + ARGV[5])
for i = 1, #tags do
  if values[i] then
    n = i
    reply[#reply + 1] = i - 1
    reply[#reply + 1] = values[i]
    call('ZADD', INDEX, 'XX', score, tags[i])
  end
end
if n == 0 then
  call('SET', KEYS[9], '1', 'PX', ARGV[6])
else
  local count = ARGV[2] == '0' and n or tonumber(ARGV[2])
  call('ZADD', LEASES, 'XX', whole(now + ARGV[3]), string.format('%s0.%x', ARGV[4], count))
end
return reply
