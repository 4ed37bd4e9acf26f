-- SPDX-License-Identifier: MIT
--
-- Messages that were taken from a list and are not due yet go to the delayed ones.
--   ARGV  {lease's tag, list, moment, score, delayed tag}...
--
-- include keys.lua
-- include part_put.lua
-- include part_undelay.lua
for i = 1, #ARGV, 5 do
  local value = call('HGET', UNACKED, ARGV[i])
  if value and call('HDEL', UNACKED, ARGV[i]) == 1 then
    call('ZREM', INDEX, ARGV[i])
    local envelope = envelope_of(value)
    put(ARGV[i + 1], string.sub(value, #envelope + 2), envelope, ARGV[i + 2], ARGV[i + 3],
        ARGV[i + 4])
  end
end
return 0
