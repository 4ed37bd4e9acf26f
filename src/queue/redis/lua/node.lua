-- SPDX-License-Identifier: MIT
--
-- Names of nodes.
--   KEYS  the node's key (of a list: what they begin with), the set of names
--   ARGV  what, name, token, ms, info, now
--   gives 1, or 0 it is somebody else's; of a list {{name, value, ms that it lives}, ...}
--
local call = redis.call
local had = ARGV[1] ~= 'list' and call('GET', KEYS[1])

local verbs = {
  join = function()
    if had and string.sub(had, 1, 32) ~= ARGV[3] then
      return 0
    end
    call('SADD', KEYS[2], ARGV[2])
    call('SET', KEYS[1], ARGV[3] .. ' ' .. ARGV[6] .. ' ' .. ARGV[5], 'PX', ARGV[4])
    return 1
  end,
  beat = function()
    if not had or string.sub(had, 1, 32) ~= ARGV[3] then
      return 0
    end
    if ARGV[5] == '' then
      return call('PEXPIRE', KEYS[1], ARGV[4])
    end
    local since = string.match(had, '^%x+ (%d+) ')
    call('SET', KEYS[1], ARGV[3] .. ' ' .. since .. ' ' .. ARGV[5], 'PX', ARGV[4])
    return 1
  end,
  leave = function()
    if not had or string.sub(had, 1, 32) ~= ARGV[3] then
      return 0
    end
    call('SREM', KEYS[2], ARGV[2])
    return call('DEL', KEYS[1])
  end,
  list = function()
    local reply = {}
    for _, name in ipairs(call('SMEMBERS', KEYS[2])) do
      local value = call('GET', KEYS[1] .. name)
      if value then
        reply[#reply + 1] = {name, value, call('PTTL', KEYS[1] .. name)}
      else
        call('SREM', KEYS[2], name)
      end
    end
    return reply
  end,
}
return verbs[ARGV[1]]()
