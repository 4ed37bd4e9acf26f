-- SPDX-License-Identifier: MIT
--
-- Dead letters.
--   ARGV  'list', from which, how many        gives {id, letter, ...}
--         'drop', ids...                      gives how many there were
--         'retry', id, list, envelope, key, the result's key or ''
--                                             gives 1, or 0 there is none
--
-- include keys.lua
-- include part_state.lua
if ARGV[1] == 'list' then
  local ids = call('ZRANGE', DIED, ARGV[2], ARGV[2] + ARGV[3] - 1)
  local reply = {}
  for i = 1, #ids do
    reply[2 * i - 1] = ids[i]
    reply[2 * i] = call('HGET', DEAD, ids[i]) or ''
  end
  return reply
end
if ARGV[1] == 'drop' then
  local n = 0
  for i = 2, #ARGV do
    n = n + call('HDEL', DEAD, ARGV[i])
    call('ZREM', DIED, ARGV[i])
  end
  return n
end
if call('HEXISTS', DEAD, ARGV[2]) == 0 then
  call('ZREM', DIED, ARGV[2])
  return 0
end
call('LPUSH', ARGV[3], ARGV[4])
call('HDEL', DEAD, ARGV[2])
call('ZREM', DIED, ARGV[2])
call('DEL', ARGV[5])
if ARGV[6] ~= '' and is_final(state_of(ARGV[6])) then
  call('DEL', ARGV[6])
end
return 1
