-- SPDX-License-Identifier: MIT
--
-- Counts by their queues what is leased, by us or ('others') by workers of Celery's, or dead, so
-- many at a time: each has to be looked at. What others have came by an exchange, or by none.
--   ARGV  'leased', 'others' or 'dead', from which one on, how many of them, the prefix, the
--         separator
--   gives {how many there were, queue, n, ...}
--
-- include keys.lua
-- include part_tag.lua
local counts = {}

local function count(name)
  if name then
    counts[name] = (counts[name] or 0) + 1
  end
end

local function queue_of(exchange, key)
  local bindings = exchange ~= '' and
                       call('SMEMBERS', ARGV[4] .. '_kombu.binding.' .. exchange)
  for _, binding in ipairs(bindings or {}) do
    if string.sub(binding, 1, #key + #ARGV[5]) == key .. ARGV[5] then
      local from = #key + #ARGV[5] + 1
      local at = string.find(binding, ARGV[5], from, true)
      return string.sub(binding, at and at + #ARGV[5] or from)
    end
  end
  return key
end

local sets = {leased = LEASES, others = INDEX, dead = DIED}
local members = call('ZRANGE', sets[ARGV[1]], ARGV[2], ARGV[2] + ARGV[3] - 1)
for _, member in ipairs(members) do
  if ARGV[1] == 'others' then
    local value = not string.match(member, '^%x+%.%x+%.') and call('HGET', UNACKED, member)
    local exchange, key = string.match(string.sub(value or '', -700),
                                       ',%s*"([^"]*)",%s*"([^"]*)"%]$')
    count(exchange and queue_of(exchange, key))
  elseif ARGV[1] == 'dead' then
    local letter = call('HGET', DEAD, member)
    count(letter and string.match(letter, '^{"queue":"([^"]*)"'))
  else
    local head, from, n = string.match(member, '^(%x+%.%x+%.)(%x+)%.(%x+)$')
    for i = 0, head and math.min(tonumber(n, 16), 1024) - 1 or -1 do
      local value = call('HGET', UNACKED, head .. place(tonumber(from, 16) + i))
      count(value and string.match(string.sub(value, -300), ', "", "([^"]*)"%]$'))
    end
  end
end
local reply = {#members}
for name, n in pairs(counts) do
  reply[#reply + 1] = name
  reply[#reply + 1] = n
end
return reply
