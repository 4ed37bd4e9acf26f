-- SPDX-License-Identifier: MIT
--
-- Publishing.
-- Puts a message into its list, or, before it is due, among the delayed: noted in `unacked` as
-- kombu does with what its workers hold, so that kombu's sweep delivers it if nobody else does.
local function put(list, suffix, envelope, due, score, tag)
  if due == '' then
    call('LPUSH', list, envelope)
    return
  end
  call('HSET', UNACKED, tag, '[' .. envelope .. suffix)
  call('ZADD', INDEX, score, tag)
  call('ZADD', DELAYED, due, tag)
  call('HINCRBY', COUNTS, list, 1)
  if call('ZRANGE', DELAYED, 0, 0)[1] == tag then
    redis.pcall('PUBLISH', ALARM, due)
  end
end
