-- wrk script: JSON POSTs, no two alike. Arguments: [SEED [BYTES [KEY]]]. The last line printed is a JSON summary.
--
-- Every body has its own numbers and every request its own id, and their sizes lie up to 20 bytes around BYTES (430), so
-- that nothing wins by remembering an earlier request or answer.

local SIZES = 41
local DIGITS = "%07d"

local head, body_start
local body_ends = {}
local sequence = 0

local function row(first)
  local numbers = {first}
  for column = 1, 9 do
    numbers[#numbers + 1] = string.format("0.0%05d", column * 6173)
  end
  return "[" .. table.concat(numbers, ", ") .. "]"
end

local function padding(bytes)
  return string.rep(" ", bytes)
end

function init(arguments)
  sequence = tonumber(arguments[1] or "0")
  local body_bytes = tonumber(arguments[2] or "430")
  local key = arguments[3] and ("Authorization: Bearer " .. arguments[3] .. "\r\n") or ""
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\n" .. key
      .. "Content-Type: application/json\r\nx-ms-client-request-id: "
  body_start = '{"data": [[0.0'
  local tail = string.sub(row("0"), 3) .. ", " .. row("0.25") .. ", " .. row("0.5") .. ", " .. row("0.75") .. "]"
  for size = 0, SIZES - 1 do
    local bytes = body_bytes - (SIZES - 1) / 2 + size
    body_ends[size] = tail .. padding(bytes - #body_start - 7 - #tail - 1) .. "}"
  end
end

function request()
  sequence = (sequence + 1) % 10000000
  local digits = string.format(DIGITS, sequence)
  local body_end = body_ends[sequence % SIZES]
  local length = #body_start + 7 + #body_end
  return head .. digits .. "\r\nContent-Length: " .. length .. "\r\n\r\n" .. body_start .. digits .. body_end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, '
      .. '"connect_errors": %d, "read_errors": %d, "write_errors": %d, "status_errors": %d, "timeouts": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
