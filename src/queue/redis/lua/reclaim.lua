-- SPDX-License-Identifier: MIT
--
-- Gives back stale entries, unless they were touched meanwhile, and the lock.
--   KEYS  ..., the lock
--   ARGV  our mark in the lock, the visibility timeout in seconds, {tag, list, envelope}...
--         one for each list that a message goes to; a list that is empty: there is no message any
--         more, and the entry goes
--   gives how many were given back
--
-- include keys.lua
local _, second = clock()
local n, stale, stuck = 0, {}, {}
for i = #ARGV - 2, 3, -3 do
  local tag = ARGV[i]
  if stale[tag] == nil then
    local score = call('ZSCORE', INDEX, tag)
    stale[tag] = score and tonumber(score) <= second - ARGV[2] or false
  end
  if stale[tag] and ARGV[i + 1] ~= '' then
    if type(redis.pcall('RPUSH', ARGV[i + 1], ARGV[i + 2])) == 'number' then
      n = n + 1
    else
      stuck[tag] = true
    end
  end
end
for tag, is_stale in pairs(stale) do
  if stuck[tag] then
    call('ZADD', INDEX, second, tag)
  elseif is_stale then
    call('ZREM', INDEX, tag)
    call('HDEL', UNACKED, tag)
  end
end
if call('GET', KEYS[9]) == ARGV[1] then
  call('DEL', KEYS[9])
end
return n
