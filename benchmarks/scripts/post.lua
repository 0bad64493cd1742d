-- wrk script: 430-byte JSON POSTs, no two alike. Arguments: [SEED [KEY]]. The last line printed is a JSON summary.
--
-- Every body has its own numbers, and every request its own id, so that nothing wins by remembering an earlier answer.

local BODY_BYTES = 430
local DIGITS = "%07d"

local head, body_start, body_end
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
  local key = arguments[2] and ("Authorization: Bearer " .. arguments[2] .. "\r\n") or ""
  sequence = tonumber(arguments[1] or "0")
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\n" .. key
      .. "Content-Type: application/json\r\nContent-Length: " .. BODY_BYTES .. "\r\nx-ms-client-request-id: "
  body_start = '{"data": [[0.0'
  local tail = string.sub(row("0"), 3) .. ", " .. row("0.25") .. ", " .. row("0.5") .. ", " .. row("0.75") .. "]"
  body_end = tail .. padding(BODY_BYTES - #body_start - 7 - #tail - 1) .. "}"
end

function request()
  sequence = (sequence + 1) % 10000000
  local digits = string.format(DIGITS, sequence)
  return head .. digits .. "\r\n\r\n" .. body_start .. digits .. body_end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, '
      .. '"connect_errors": %d, "read_errors": %d, "write_errors": %d, "status_errors": %d, "timeouts": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
