-- SPDX-License-Identifier: Apache-2.0
-- What wrk sends for bench.py: kind (none, fresh, recorded, fixed), path, first number of keys, bytes of the body.
-- A fifth argument, GET, sends no body, and the key as the query: for peers.py, to a cache of GET.
-- A sixth one says how many keys are recorded.
local kind, path, number, body, get, recorded

local function key_of(n)
   return string.format("%08x-0000-4000-8000-%012x", n % 4294967296, n)
end

function init(args)
   kind, path, number = args[1], args[2], tonumber(args[3])
   body = string.rep("x", tonumber(args[4]))
   get, recorded = args[5] == "GET", tonumber(args[6] or 1000)
end

function request()
   local fields = {["Host"] = "bench.test", ["Content-Type"] = "application/json"}
   if kind == "fresh" then
      number = number + 1
      fields["Idempotency-Key"] = key_of(number)
   elseif kind == "recorded" then
      number = (number + 1) % recorded
      fields["Idempotency-Key"] = key_of(number)
   elseif kind == "fixed" then
      fields["Idempotency-Key"] = key_of(number)
   end
   if get then
      return wrk.format("GET", path .. "?" .. (fields["Idempotency-Key"] or ""), {["Host"] = "bench.test"})
   end
   return wrk.format("POST", path, fields, body)
end

function done(summary, latency, requests)
   io.write(string.format('RESULT {"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, ' ..
                          '"p50": %d, "p99": %d, "p99.9": %d}\n', summary.requests, summary.duration,
                          summary.errors.status,
                          summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
                          latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
