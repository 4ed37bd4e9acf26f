-- SPDX-License-Identifier: MIT
--
-- How the tag of a fetch's i-th lease ends, from 0 on. The first is so long (more than
-- zset-max-listpack-value together with what it begins with) that Redis makes the index a skiplist
-- at once: as a listpack, up to 128 entries, it would be gone through for every tag of a command.
local function place(i)
  return i == 0 and '000000000000000000000000000000000000000000000000' or
             string.format('%x', i)
end
