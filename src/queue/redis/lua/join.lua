-- SPDX-License-Identifier: MIT
--
-- Joins and saved groups.
--   ARGV  {'open', size key, body key, size, body, seconds}..., {'close', four keys}...
--         'grow', key, by how many, seconds
--         'arrive', seconds, {members', size, grown, body, group's key, how the texts of this
--                   member begin, place, text}...
--                   gives {complete, body, saved, members...} for each; without a place the
--                   members are a list, in the order in which they came
--         'save', key, text, seconds;  'get', key;  'drop', key
--
-- include keys.lua
-- include part_join.lua
local function expire(key, seconds)
  if seconds ~= '0' then
    call('EXPIRE', key, seconds)
  end
end

-- Members by their places, as Celery has them; or without, with its result_chord_ordered off.
local sorted = {
  said = function(list, place) return call('ZRANGEBYSCORE', list, place, place) end,
  remove = function(list, text) call('ZREM', list, text) end,
  add = function(list, place, text) call('ZADD', list, place, text) end,
  count = function(list) return call('ZCARD', list) end,
  all = function(list) return call('ZRANGE', list, 0, -1) end,
}
local in_turn = {
  said = function(list) return call('LRANGE', list, 0, -1) end,
  remove = function(list, text) call('LREM', list, 0, text) end,
  add = function(list, _, text) call('RPUSH', list, text) end,
  count = function(list) return call('LLEN', list) end,
  all = function(list) return call('LRANGE', list, 0, -1) end,
}

local function arrive(seconds, list, size, grown, body, saved, head, place, text)
  local members = place == '' and in_turn or sorted
  -- What this member said before goes: it ran twice, and counts once.
  for _, old in ipairs(members.said(list, place)) do
    if string.sub(old, 1, #head) == head then
      members.remove(list, old)
    end
  end
  members.add(list, place, text)
  expire(list, seconds)
  expire(grown, seconds)
  expire(size, seconds)
  expire(body, seconds)
  local expected = call('GET', size)
  if not expected or members.count(list) ~= expected + (call('GET', grown) or 0) then
    return {0}
  end
  local reply = {1, call('GET', body) or '', call('GET', saved) or ''}
  for _, member in ipairs(members.all(list)) do
    reply[#reply + 1] = member
  end
  return reply
end

local what = ARGV[1]
if what == 'arrive' then
  local reply = {}
  for i = 3, #ARGV, 8 do
    reply[#reply + 1] = arrive(ARGV[2], unpack(ARGV, i, i + 7))
  end
  return reply
end
if what == 'grow' then
  call('INCRBY', ARGV[2], ARGV[3])
  expire(ARGV[2], ARGV[4])
  return 1
end
if what == 'save' then
  call('SET', ARGV[2], ARGV[3])
  expire(ARGV[2], ARGV[4])
  call('PUBLISH', ARGV[2], ARGV[3])
  return 1
end
if what == 'get' then
  return call('GET', ARGV[2])
end
if what == 'drop' then
  return call('DEL', ARGV[2])
end
local at = 1
while at <= #ARGV do
  if ARGV[at] == 'open' then
    open_join(unpack(ARGV, at + 1, at + 5))
    at = at + 6
  else
    call('DEL', unpack(ARGV, at + 1, at + 4))
    at = at + 5
  end
end
return 1
