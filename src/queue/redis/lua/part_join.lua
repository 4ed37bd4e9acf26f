-- SPDX-License-Identifier: MIT
--
-- Joins.
-- Opens a join: its size, as Celery does, which tells it as well; and what waits for it, beside.
local function open_join(size_key, body_key, size, body, expires)
  if call('EXISTS', size_key) == 1 then
    return
  end
  if expires == '0' then
    call('SET', size_key, size)
  else
    call('SETEX', size_key, expires, size)
  end
  redis.pcall('PUBLISH', size_key, size)
  if body ~= '' then
    call('SET', body_key, body)
    if expires ~= '0' then
      call('EXPIRE', body_key, expires)
    end
  end
end
