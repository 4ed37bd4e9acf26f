-- SPDX-License-Identifier: MIT
--
-- Gives back what a fetch still had when its time was over, to where it is taken next: the last
-- one first, so that they come in their old order. What cannot be pushed tries again later.
--   ARGV  record, {tag, list, envelope}...
--   gives how many were given back
--
-- include keys.lua
local now = clock()
local score = call('ZSCORE', LEASES, ARGV[1])
if not score or tonumber(score) > now then
  return 0
end
local n, stuck = 0, false
for i = #ARGV - 2, 2, -3 do
  if call('HEXISTS', UNACKED, ARGV[i]) == 1 then
    if type(redis.pcall('RPUSH', ARGV[i + 1], ARGV[i + 2])) == 'number' then
      call('HDEL', UNACKED, ARGV[i])
      call('ZREM', INDEX, ARGV[i])
      n = n + 1
    else
      stuck = true
    end
  end
end
if stuck then
  call('ZADD', LEASES, whole(now + 60000000), ARGV[1])
else
  call('ZREM', LEASES, ARGV[1])
end
return n
