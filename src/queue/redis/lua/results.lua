-- SPDX-License-Identifier: MIT
--
-- Stores results.
--   ARGV  {key, seconds, content, whether it is final}...
--
-- include keys.lua
-- include part_store.lua
for i = 1, #ARGV, 4 do
  store(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
return 0
