-- SPDX-License-Identifier: MIT
--
-- Makes ready what is due at `now`, the oldest first. One whose list is none tries again later.
local due = call('ZRANGEBYSCORE', DELAYED, '-inf', whole(now), 'LIMIT', 0, 100)
if #due > 0 then
  -- include part_undelay.lua
  for i = 1, #due do
    local envelope = delayed_text(due[i])
    local pushed = envelope and redis.pcall('LPUSH', list_of(due[i]), envelope)
    if type(pushed) == 'table' then
      call('ZADD', DELAYED, whole(now + 60000000), due[i])
    else
      undelay(due[i])
    end
  end
end
