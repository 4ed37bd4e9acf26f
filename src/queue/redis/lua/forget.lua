-- SPDX-License-Identifier: MIT
--
-- Forgets results that are final.
--   ARGV  their keys
--   gives how many there were
--
-- include keys.lua
-- include part_state.lua
local n = 0
for _, key in ipairs(ARGV) do
  if is_final(state_of(key)) then
    n = n + call('DEL', key)
  end
end
return n
