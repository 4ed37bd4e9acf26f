-- SPDX-License-Identifier: MIT
--
-- Idempotency keys. Needs part_state.lua.
-- Takes an idempotency key for a task: nil, or the id of the task that has it. One whose task has
-- failed is free, whoever ran it.
local function take_key(key, id, expires, results)
  local had = call('GET', key)
  if had and had ~= id then
    local state = state_of(results .. had)
    if state ~= 'FAILURE' and state ~= 'REVOKED' then
      return had
    end
  end
  call('SET', key, id, 'PX', expires)
  return nil
end
