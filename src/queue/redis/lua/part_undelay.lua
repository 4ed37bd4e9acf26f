-- SPDX-License-Identifier: MIT
--
-- Delayed messages.
-- The list that the tag of a delayed message names, behind its third dot.
local function list_of(tag)
  return string.match(tag, '^%x+%.%x+%.e%.(.*)$')
end

-- Of '[ENVELOPE, "EXCHANGE", "KEY"]' as this program writes it: the envelope.
local function envelope_of(value)
  return string.match(value, '^%[(.*), "", "')
end

-- The text of a delayed message, or nil if somebody was quicker.
local function delayed_text(tag)
  local value = call('HGET', UNACKED, tag)
  return value and envelope_of(value)
end

-- Takes a delayed message out of the notes.
local function undelay(tag)
  call('HDEL', UNACKED, tag)
  call('ZREM', INDEX, tag)
  if call('ZREM', DELAYED, tag) == 1 then
    local list = list_of(tag)
    if call('HINCRBY', COUNTS, list, -1) <= 0 then
      call('HDEL', COUNTS, list)
    end
  end
end
