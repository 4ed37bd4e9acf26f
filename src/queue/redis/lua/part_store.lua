-- SPDX-License-Identifier: MIT
--
-- Results.
-- include part_state.lua
-- Stores a result, unless it would replace SUCCESS, or what is final by what is not. Nearly always
-- there is nothing yet, so that is what is tried first: each command of a script costs.
local function store(key, expires, content, final)
  local fresh
  if expires == '0' then
    fresh = call('SET', key, content, 'NX')
  else
    fresh = call('SET', key, content, 'EX', expires, 'NX')
  end
  if not fresh then
    local had = state_of(key)
    if had == 'SUCCESS' or (final == '0' and is_final(had)) then
      return
    end
    if expires == '0' then
      call('SET', key, content)
    else
      call('SETEX', key, expires, content)
    end
  end
  -- A user who may not publish has stored it all the same.
  redis.pcall('PUBLISH', key, content)
end
