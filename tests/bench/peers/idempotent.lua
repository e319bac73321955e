-- SPDX-License-Identifier: Apache-2.0
-- What one writes into nginx's configuration for keys: a fingerprint, a claim, the answer kept, the answer again.
-- nginx.conf calls it. A claim is "-" until the answer is kept; the worker is one process, so runs count in a local.
local cjson = require "cjson.safe"
local kept = 86400
local runs = 0
local fields = {"Content-Type", "Location", "X-Request-Id", "Cache-Control"}
local found = {}

local function handler()
   runs = runs + 1
   local head = string.format('{"run":"%010d","filling":"', runs)
   return {status = 201, body = head .. string.rep("x", 250 - #head - 2) .. '"}', ["Content-Type"] = "application/json",
           ["Location"] = "/orders/4711", ["X-Request-Id"] = "6f1a4bb2-7d0e-4c55-9c0b-3b6c3a1d9a10",
           ["Cache-Control"] = "no-store"}
end

local function send(answer)
   ngx.status = answer.status
   for _, name in ipairs(fields) do
      ngx.header[name] = answer[name]
   end
   ngx.header["Content-Length"] = #answer.body
   ngx.print(answer.body)
end

local function refuse(status)
   ngx.status = status
   ngx.print('{"status":' .. status .. '}')
end

-- get, claim and keep are the store's; claim says whether the key was free.
local function guarded(store)
   ngx.req.read_body()
   local key = ngx.var.http_idempotency_key
   if not key then
      return send(handler())
   end
   local print = ngx.encode_base64(ngx.sha1_bin(ngx.var.request_method .. ngx.var.uri .. (ngx.req.get_body_data() or "")))
   local record = store.get(key)
   if not record and store.claim(key) then
      local answer = handler()
      answer.fingerprint = print
      store.keep(key, cjson.encode(answer))
      return send(answer)
   end
   record = cjson.decode(record or store.get(key) or "")
   if not record then
      return refuse(409)
   end
   if record.fingerprint ~= print then
      return refuse(422)
   end
   send(record)
end

function found.bare()
   ngx.req.read_body()
   send(handler())
end

function found.dict()
   local records = ngx.shared.records
   guarded({get = function(key) return records:get(key) end,
            claim = function(key) return records:add(key, "-", kept) end,
            keep = function(key, record) records:set(key, record, kept) end})
end

function found.redis()
   local server = require("nginx.redis"):new()
   assert(server:connect("127.0.0.1", redis_port))
   guarded({get = function(key) local value = server:get(key); return value ~= ngx.null and value or nil end,
            claim = function(key) return server:set(key, "-", "NX", "EX", kept) == "OK" end,
            keep = function(key, record) assert(server:set(key, record, "EX", kept)) end})
   server:set_keepalive(10000, 128)
end

return found
