-- SPDX-License-Identifier: MIT
--
-- The leases of a handle that is gone are over, those of one page; in the order in which they
-- would have run out. Nothing, if it has said meanwhile that it lives.
--   KEYS  ..., the beats
--   ARGV  the handle, when it said so last, the page's cursor
--   gives {the next cursor or '0', how many fetches}
--
-- include keys.lua
local AGES = 10000000000000
local now = clock()
if call('ZSCORE', KEYS[9], ARGV[1]) ~= ARGV[2] then
  return {'0', 0}
end
local page = call('ZSCAN', LEASES, ARGV[3], 'MATCH', ARGV[1] .. '.*', 'COUNT', 200)
local n = 0
for i = 1, #page[2], 2 do
  local till = tonumber(page[2][i + 1])
  if till > now then
    call('ZADD', LEASES, 'XX', whole(till - AGES), page[2][i])
    n = n + 1
  end
end
if page[1] == '0' then
  call('ZREM', KEYS[9], ARGV[1])
end
return {page[1], n}
