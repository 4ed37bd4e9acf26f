-- SPDX-License-Identifier: MIT
--
-- Takes out what waits in a queue, so many at a time: first what is ready, and when there is no
-- more, what is delayed, of which there may be many that are of other queues.
--   KEYS  ..., the queue's lists
--   ARGV  how many, the cursor among the delayed
--   gives {the next cursor, or '' while something was ready, or '0' at the end, envelopes...}
--
-- include keys.lua
-- include part_undelay.lua
local most = tonumber(ARGV[1])
local reply, delayed = {''}, false
for k = 9, #KEYS do
  local texts = #reply <= most and call('RPOP', KEYS[k], most + 1 - #reply)
  for i = 1, texts and #texts or 0 do
    reply[#reply + 1] = texts[i]
  end
  delayed = delayed or call('HEXISTS', COUNTS, KEYS[k]) == 1
end
if #reply > 1 then
  return reply
end
reply[1] = '0'
if delayed then
  local page = call('ZSCAN', DELAYED, ARGV[2], 'COUNT', ARGV[1])
  reply[1] = page[1]
  for i = 1, #page[2], 2 do
    local list = list_of(page[2][i])
    for k = 9, #KEYS do
      if list == KEYS[k] then
        local envelope = delayed_text(page[2][i])
        undelay(page[2][i])
        if envelope then
          reply[#reply + 1] = envelope
        end
      end
    end
  end
end
return reply
