-- SPDX-License-Identifier: MIT
--
-- What queues hold, but for what tally.lua counts: those that are bound, those that have delayed
-- messages, and those that are named.
--   ARGV  the prefix, the separator, n, n steps, m, m names, the keys of bindings: found
--         beforehand, since to go through all keys in one piece would hold up everybody
--   gives {queue, ready, delayed, the oldest envelope}...
--
-- include keys.lua
local prefix, sep = ARGV[1], ARGV[2]
local queues = {}

local function queue(name)
  queues[name] = queues[name] or {name, 0, 0, ''}
  return queues[name]
end

-- The queue that a list belongs to.
local function queue_of(list)
  local name = string.sub(list, #prefix + 1)
  local at = string.find(name, sep, 1, true)
  return at and string.sub(name, 1, at - 1) or name
end

local n_steps = tonumber(ARGV[3])
local n_names = tonumber(ARGV[4 + n_steps])
for i = 1, n_names do
  queue(ARGV[4 + n_steps + i])
end
for i = 5 + n_steps + n_names, #ARGV do
  for _, binding in ipairs(call('SMEMBERS', ARGV[i])) do
    local from, at = 1, string.find(binding, sep, 1, true)
    while at do
      from = at + #sep
      at = string.find(binding, sep, from, true)
    end
    queue(string.sub(binding, from))
  end
end

local counts = call('HGETALL', COUNTS)
for i = 1, #counts, 2 do
  local q = queue(queue_of(counts[i]))
  q[3] = q[3] + counts[i + 1]
end

local reply = {}
for name, q in pairs(queues) do
  for i = 4, 3 + n_steps do
    local list = prefix .. name .. (ARGV[i] == '0' and '' or sep .. ARGV[i])
    if call('TYPE', list).ok == 'list' then
      q[2] = q[2] + call('LLEN', list)
      if q[4] == '' then
        q[4] = call('LINDEX', list, -1) or ''
      end
    end
  end
  reply[#reply + 1] = q
end
return reply
