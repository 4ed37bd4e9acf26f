# SPDX-License-Identifier: MIT
sanjab worker -A tasks.c &
worker=$!
sanjab call proj.tasks.multiply --args '[6, 7]' --wait
sanjab call proj.tasks.charge --args '[9.5]' --wait
kill $worker
wait $worker
