-- The collector, strings, coroutines, closures, errors, files: each part prints what it found.

local function part(name, ...) print(name, ...) end

-- Garbage: more than ever fits at once, weak tables, finalizers, both collectors.
do
  local finalized = 0
  local weak = setmetatable({}, { __mode = "k" })
  for mode = 1, 2 do
    collectgarbage(mode == 1 and "generational" or "incremental")
    for round = 1, 20000 do
      local object = setmetatable({ round, tostring(round):rep(10) }, { __gc = function() finalized = finalized + 1 end })
      weak[object] = round
    end
  end
  collectgarbage()
  collectgarbage()
  part("collector", finalized, next(weak), collectgarbage("count") < 2000)
end

-- Strings.
do
  local pieces = {}
  for number = 1, 5000 do pieces[#pieces + 1] = ("%05d:%x"):format(number, number * number) end
  local text = table.concat(pieces, ",")
  local count, sum = 0, 0
  for decimal, hexadecimal in text:gmatch("(%d+):(%x+)") do
    count = count + 1
    sum = sum + tonumber(hexadecimal, 16) - tonumber(decimal) ^ 2 // 1 | 0
  end
  part("strings", count, sum, #text, text:find("04999", 1, true), text:reverse():sub(1, 8))
  part("packing", string.unpack("<i4 z s1", string.pack("<i4 z s1", -77, "zero-terminated", "counted")))
  part("utf8", utf8.len("straße – 日本"), utf8.char(228, 8364, 128640))
end

-- Coroutines: a sieve of them, deep recursion, yields across pcall.
do
  local function numbers() for number = 2, 400 do coroutine.yield(number) end end
  local function filter(prime, source)
    return coroutine.wrap(function()
      for number in source do if number % prime ~= 0 then coroutine.yield(number) end end
    end)
  end
  local source, primes = coroutine.wrap(numbers), {}
  while true do
    local prime = source()
    if not prime then break end
    primes[#primes + 1] = prime
    source = filter(prime, source)
  end
  part("coroutines", #primes, primes[#primes])
  local function depth(n) if n == 0 then return 0 end return 1 + depth(n - 1) end
  part("recursion", depth(150000), select(2, pcall(function() local function f() return 1 + f() end return f() end)):match("stack overflow"))
  local co = coroutine.create(function() local ok, why = pcall(function() coroutine.yield(1) error({ code = 7 }) end) return ok, why.code end)
  part("errors", coroutine.resume(co), coroutine.resume(co))
end

-- Numbers.
part("numbers", math.maxinteger + 1 == math.mininteger, 7 // -2, -7 % 3, 2 ^ 0.5, 1e308 * 10, ("%a"):format(0.1))

-- Sorting.
do
  local seed, values = 1, {}
  for index = 1, 30000 do seed = seed * 1103515245 + 12345 & 0x7fffffff values[index] = seed end
  table.sort(values, function(a, b) return a > b end)
  local sorted = true
  for index = 2, #values do sorted = sorted and values[index - 1] >= values[index] end
  part("sorting", sorted, values[1], values[#values])
end

-- Files: writing, seeking, reading, renaming, removing.
do
  local file = assert(io.open("tour.txt", "w+"))
  for line = 1, 2000 do file:write("line ", line, "\n") end
  part("seek", file:seek("end"), file:seek("set", 5), file:read("n"))
  file:close()
  local lines = 0
  for line in io.lines("tour.txt") do lines = lines + 1 end
  assert(os.rename("tour.txt", "moved.txt"))
  part("files", lines, io.open("tour.txt"), os.remove("moved.txt"), select(3, os.remove("moved.txt")))
end
