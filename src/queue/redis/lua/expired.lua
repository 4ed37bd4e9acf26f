-- SPDX-License-Identifier: MIT
--
-- What was leased by fetches whose time is over.
--   ARGV  how many messages are enough
--   gives {{record, tag, value, tag, value, ...}, ...}
--
-- include keys.lua
-- include part_tag.lua
local now = clock()
local reply, n = {}, 0
for _, record in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', whole(now), 'LIMIT', 0, 64)) do
  local head, from, count = string.match(record, '^(%x+%.%x+%.)(%x+)%.(%x+)$')
  local one, tags = {record}, {}
  for i = 1, head and math.min(tonumber(count, 16), 4096) or 0 do
    tags[i] = head .. place(tonumber(from, 16) + i - 1)
  end
  local values = #tags > 0 and call('HMGET', UNACKED, unpack(tags)) or {}
  for i = 1, #tags do
    if values[i] then
      one[#one + 1] = tags[i]
      one[#one + 1] = values[i]
    end
  end
  if #one == 1 then
    call('ZREM', LEASES, record)
  else
    reply[#reply + 1] = one
    n = n + #one / 2
    if n >= tonumber(ARGV[1]) then
      break
    end
  end
end
return reply
