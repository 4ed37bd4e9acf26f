-- SPDX-License-Identifier: MIT
--
-- Results.
-- The state that a stored result is in, or nil. Celery writes it first.
local function state_of(key)
  local head = call('GETRANGE', key, 0, 63)
  if head == '' then
    return nil
  end
  local state = string.match(head, '^{"status": ?"([^"\\]*)"')
  if not state then
    local ok, meta = pcall(cjson.decode, call('GET', key))
    state = ok and type(meta) == 'table' and meta.status or nil
  end
  return state
end

local function is_final(state)
  return state == 'SUCCESS' or state == 'FAILURE' or state == 'REVOKED'
end
