-- SPDX-License-Identifier: MIT
--
-- Counts the deliveries of messages that were delivered before, and of those that may not run,
-- how often a worker was asked to end them.
--   KEYS  the tasks' notes
--   ARGV  {whether it was delivered before, whether it has expired, most deliveries}...
--   gives {deliveries, rites}...
--
local reply = {}
for i = 1, #KEYS do
  local deliveries, rites = 1, 0
  if ARGV[3 * i - 2] == '1' then
    deliveries = redis.call('HINCRBY', KEYS[i], 'deliveries', 1) + 1
  end
  if ARGV[3 * i - 1] == '1' or deliveries > tonumber(ARGV[3 * i]) then
    rites = redis.call('HINCRBY', KEYS[i], 'rites', 1)
  end
  redis.call('EXPIRE', KEYS[i], 604800)
  reply[i] = {deliveries, rites}
end
return reply
