-- SPDX-License-Identifier: MIT
--
-- Takes up to n messages from the lists, in their order, and notes the leases: in `unacked` as
-- kombu does, and all of this fetch as one record among the leases.
--   KEYS  ..., what again.lua leaves behind of a fetch that is given up, the lists
--   ARGV  n, microseconds, the tags' beginning, seconds added to the score, whether to take
--         something even if leases have run out, which go first; a suffix for each list
--   gives {now, whether leases have run out, {list, text, text, ...}, ...}
--
-- include keys.lua
-- include part_tag.lua
local now, second = clock()
if call('EXISTS', KEYS[9]) == 1 then
  return {now, 0}
end
-- include part_promote.lua
local over = #call('ZRANGEBYSCORE', LEASES, '-inf', whole(now), 'LIMIT', 0, 1)
if over > 0 and ARGV[5] == '0' then
  return {now, over}
end
local n, left = tonumber(ARGV[1]), 0
local notes, scores, reply = {}, {}, {now, over}
-- As a text once: a number would be written out for each member.
local score = whole(second + ARGV[4])
local taken, failed = 0, nil
for k = 10, #KEYS do
  left = n - taken
  if left <= 0 then
    break
  end
  -- What is no list must not undo what was taken from others.
  local texts = redis.pcall('RPOP', KEYS[k], left)
  if texts and texts.err then
    failed = texts
  elseif texts then
    local suffix = ARGV[k - 4]
    for i = 1, #texts do
      local tag = ARGV[3] .. place(taken)
      notes[2 * taken + 1] = tag
      notes[2 * taken + 2] = '[' .. texts[i] .. suffix
      scores[2 * taken + 1] = score
      scores[2 * taken + 2] = tag
      taken = taken + 1
    end
    table.insert(texts, 1, k - 10)
    reply[#reply + 1] = texts
  end
end
if taken == 0 then
  return failed or reply
end
local why = redis.pcall('HSET', UNACKED, unpack(notes))
if type(why) ~= 'table' then
  why = redis.pcall('ZADD', INDEX, unpack(scores))
end
if type(why) ~= 'table' then
  why = redis.pcall('ZADD', LEASES, whole(now + ARGV[2]), string.format('%s0.%x', ARGV[3], taken))
end
if type(why) ~= 'table' then
  return reply
end
-- A key is not what it should be, or the user may not write it: all goes back to where it was.
for i = 1, #notes, 2 do
  redis.pcall('HDEL', UNACKED, notes[i])
  redis.pcall('ZREM', INDEX, notes[i])
end
for i = #reply, 3, -1 do
  for k = #reply[i], 2, -1 do
    redis.pcall('RPUSH', KEYS[reply[i][1] + 10], reply[i][k])
  end
end
return why
