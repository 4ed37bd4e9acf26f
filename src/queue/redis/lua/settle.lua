-- SPDX-License-Identifier: MIT
--
-- Ends leases. Each settlement is done whole if its tag is still in `unacked`, and not at all
-- else.
--   ARGV  what results' keys begin with, n, n tags, m, m records of fetches that have ended,
--         then for each settlement: how many steps, and the steps, each a letter and its words
--   gives for each 1 (done), 0 (not ours), or a text: why a step of it could not be done; then the
--   entry stays, and its lease runs out soon. A script is not rolled back, so the entries go last.
--
-- include keys.lua
-- include part_put.lua
-- include part_store.lua
-- include part_key.lua
-- include part_join.lua
local FAILED_FOR = 2000000 -- microseconds
local n = tonumber(ARGV[2])
local at = n + 3
local held = {}
local tags = {}
for i = 1, n do
  tags[i] = ARGV[i + 2]
end
if call('ZREM', INDEX, unpack(tags)) == n then
  for i = 1, n do
    held[i] = 1
  end
else
  -- The entries have lost nothing yet: what stands there was held until just now.
  local seen = {}
  for i = 1, n do
    held[i] = not seen[tags[i]] and call('HEXISTS', UNACKED, tags[i]) or 0
    seen[tags[i]] = true
  end
end

local function word()
  at = at + 1
  return ARGV[at - 1]
end

local m = tonumber(word())
if m > 0 then
  local records = {}
  for i = 1, m do
    records[i] = word()
  end
  call('ZREM', LEASES, unpack(records))
end

-- The words of a step, for one that is done; what is not done is passed over.
local function take(count)
  at = at + count
  return unpack(ARGV, at - count, at - 1)
end

local WIDTHS = {R = 4, P = 9, B = 2, D = 3, X = 1, F = 2, K = 3, U = 1, J = 5, L = 4}

local function step(kind)
  if kind == 'R' then
    store(take(4))
  elseif kind == 'P' then
    local list, suffix, envelope, due, score, tag, key, id, ms = take(9)
    if key == '' or not take_key(key, id, ms, ARGV[1]) then
      put(list, suffix, envelope, due, score, tag)
    end
  elseif kind == 'B' then
    call('RPUSH', take(2))
  elseif kind == 'D' then
    local id, died, letter = take(3)
    call('HSET', DEAD, id, letter)
    call('ZADD', DIED, died, id)
  elseif kind == 'X' then
    call('DEL', take(1))
  elseif kind == 'F' then
    local key, id = take(2)
    if call('GET', key) == id then
      call('DEL', key)
    end
  elseif kind == 'K' then
    local key, id, ms = take(3)
    if call('GET', key) == id then
      call('PEXPIRE', key, ms)
    end
  elseif kind == 'U' then
    local key = take(1)
    call('HINCRBY', key, 'deliveries', -1)
  elseif kind == 'J' then
    open_join(take(5))
  else
    call('DEL', take(4))
  end
end

local gone = {}
for i = 1, n do
  for _ = 1, tonumber(word()) do
    local kind = word()
    if held[i] == 1 then
      local ok, why = pcall(step, kind)
      if not ok then
        held[i] = type(why) == 'table' and why.err or tostring(why)
      end
    else
      at = at + WIDTHS[kind]
    end
  end
  if held[i] == 1 then
    gone[#gone + 1] = tags[i]
  elseif held[i] ~= 0 then
    local now, second = clock()
    call('ZADD', INDEX, second, tags[i])
    call('ZADD', LEASES, whole(now + FAILED_FOR), tags[i] .. '.1')
  end
end
if #gone > 0 then
  call('HDEL', UNACKED, unpack(gone))
end
return held
