-- SPDX-License-Identifier: MIT
--
-- What somebody who waits wants to know. Makes ready what is due.
--   KEYS  ..., the lists
--   gives {whether one of the lists holds something, whether leases have run out,
--          microseconds until something else comes due, or -1}
--
-- include keys.lua
local now = clock()
-- include part_promote.lua
local next_due = nil
for _, key in ipairs({DELAYED, LEASES}) do
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  local due = first[2] and tonumber(first[2])
  if due and (not next_due or due < next_due) then
    next_due = due
  end
end
local ready = call('EXISTS', unpack(KEYS, 9))
local over = #call('ZRANGEBYSCORE', LEASES, '-inf', whole(now), 'LIMIT', 0, 1)
return {ready, over, next_due and math.max(next_due - now, 0) or -1}
