-- SPDX-License-Identifier: MIT
--
-- Publishes messages of which some have an eta or an idempotency key.
--   ARGV  what results' keys begin with,
--         {list, suffix, envelope, moment, score, tag, key, id, the key's ms}...
--   gives for each: '' or the id of the task that has the key
--
-- include keys.lua
-- include part_put.lua
-- include part_state.lua
-- include part_key.lua
-- What could not be done in the middle is found before anything is: a script is not rolled back.
local seen = {}
local function must_be(kind, key)
  if not seen[key] then
    seen[key] = call('TYPE', key).ok
    if seen[key] ~= 'none' and seen[key] ~= kind then
      error({err = 'WRONGTYPE ' .. key .. ' is a ' .. seen[key] .. ', and should be a ' .. kind})
    end
  end
end

for i = 2, #ARGV, 9 do
  must_be('list', ARGV[i])
  if ARGV[i + 3] ~= '' then
    must_be('hash', UNACKED)
    must_be('zset', INDEX)
    must_be('zset', DELAYED)
    must_be('hash', COUNTS)
  end
  if ARGV[i + 6] ~= '' then
    must_be('string', ARGV[i + 6])
    must_be('string', ARGV[1] .. (call('GET', ARGV[i + 6]) or ''))
  end
end

local reply = {}
for i = 2, #ARGV, 9 do
  local had = nil
  if ARGV[i + 6] ~= '' then
    had = take_key(ARGV[i + 6], ARGV[i + 7], ARGV[i + 8], ARGV[1])
  end
  if not had then
    put(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  end
  reply[#reply + 1] = had or ''
end
return reply
