-- Sends the requests of a file in turn, and prints what came of them as one line of JSON.
--
-- Each line of the file is: method, path, API key, body; with tabs between them. `{n}` in a body
-- becomes a number that no request had before: the first is the script's second argument.

local prepared, next_one, number = {}, 0, 0

function init(arguments)
   number = tonumber(arguments[2])
   for line in io.lines(arguments[1]) do
      local method, path, key, body = line:match("^(.-)\t(.-)\t(.-)\t(.*)$")
      local headers = { ["Content-Type"] = "application/json" }
      if key ~= "" then headers["Authorization"] = "Bearer " .. key end
      if body == "" then body = nil end
      if body and body:find("{n}", 1, true) then
         prepared[#prepared + 1] = function()
            number = number + 1
            return wrk.format(method, path, headers, (body:gsub("{n}", number)))
         end
      else
         prepared[#prepared + 1] = wrk.format(method, path, headers, body)
      end
   end
end

function request()
   next_one = next_one % #prepared + 1
   local one = prepared[next_one]
   return type(one) == "function" and one() or one
end

function done(summary, latency, _)
   local e = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p99": %f}\n',
      summary.requests, summary.duration / 1e6, e.status,
      e.connect + e.read + e.write + e.timeout,
      latency:percentile(99) / 1000))
end
