-- SPDX-License-Identifier: MIT
--
-- Makes leases last longer.
--   ARGV  microseconds from now, seconds added to the score, n, n tags,
--         w, w records of fetches all of whose leases are renewed,
--         d, d records of fetches of which only some are: they are split into
--         {record of one lease, its end, or '' if it is renewed}...
--   gives 1 (held) or 0 for each tag
--
-- include keys.lua
local now, second = clock()
local till = whole(now + ARGV[1])
local at = 3

local function words()
  local all = {}
  for i = 1, tonumber(ARGV[at]) do
    all[i] = ARGV[at + i]
  end
  at = at + #all + 1
  return all
end

local tags, fresh, held = words(), {}, {}
local scores = call('ZMSCORE', INDEX, unpack(tags))
for i = 1, #tags do
  held[i] = scores[i] and 1 or 0
  if scores[i] then
    fresh[#fresh + 1] = second + ARGV[2]
    fresh[#fresh + 1] = tags[i]
  end
end
if #fresh > 0 then
  call('ZADD', INDEX, 'XX', unpack(fresh))
end
for _, record in ipairs(words()) do
  call('ZADD', LEASES, 'XX', till, record)
end
for _, record in ipairs(words()) do
  call('ZREM', LEASES, record)
end
for i = at, #ARGV, 2 do
  call('ZADD', LEASES, ARGV[i + 1] == '' and till or ARGV[i + 1], ARGV[i])
end
return held
