-- SPDX-License-Identifier: MIT
--
-- Opens a mailbox, and clears away those whose owners have gone without a word.
--   KEYS  the exchange's bindings, the list, all mailboxes
--   ARGV  the binding, now in seconds, for how long it is remembered
--
local call = redis.call
for _, member in ipairs(call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[2], 'LIMIT', 0, 100)) do
  call('SREM', KEYS[1], member)
  call('ZREM', KEYS[3], member)
end
call('DEL', KEYS[2])
call('SADD', KEYS[1], ARGV[1])
call('ZADD', KEYS[3], ARGV[2] + ARGV[3], ARGV[1])
return 1
