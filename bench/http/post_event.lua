-- Posts an event to each of 2,000 sessions in turn: a single one's log would be full too soon.
local sessions = 2000
local next_session = 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"type":"note:made","data":{"text":"something to remember","try":2}}'

function request()
  next_session = next_session % sessions + 1
  return wrk.format(nil, "/v1/sessions/bench-" .. next_session .. "/events")
end
