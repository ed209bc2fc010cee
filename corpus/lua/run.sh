cp "$here/tour.lua" "$root"
guest lua tour.lua
