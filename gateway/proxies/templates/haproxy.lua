-- /etc/haproxy/gateway.lua: asks the gateway whether a request may pass, and tells the application who asks.

local VERIFY = "{{ gateway }}{{ base }}/auth/verify{{ query }}"
local SHOWN = { "cookie", "authorization", "accept", "sec-fetch-mode", "x-requested-with",
                "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto" }
local IDENTITY = { {% for name in identity %}"{{ name | lower }}"{{ ", " if not loop.last }}{% endfor %} }

local function list(values)
    local found = {}
    for index = 0, #values do
        if values[index] ~= nil then found[#found + 1] = values[index] end
    end
    return found
end

local function question(txn)
    local sent, headers = txn.http:req_get_headers(), {}
    for _, name in ipairs(SHOWN) do
        if sent[name] then headers[name] = list(sent[name]) end
    end
    headers["x-forwarded-method"] = { txn.f:method() }
    headers["x-forwarded-uri"] = { txn.f:pathq() }
    return headers
end

local function first(headers, name)
    return headers[name] and list(headers[name])[1]
end

-- The application does not get the gateway's cookies.
local function is_ours(name)
    name = name:gsub("^__Host%-", ""):gsub("^__Secure%-", "")
    return name == "gateway" or name == "gateway-refresh" or name == "gateway-browser" or name == "gateway-pending"
        or name:find("^gateway%-attempt%-") ~= nil
end

local function others(cookies)
    local kept = {}
    for _, header in ipairs(list(cookies)) do
        for pair in header:gmatch("[^;]+") do
            pair = pair:gsub("^%s+", "")
            if not is_ours(pair:match("^[^=]*")) then kept[#kept + 1] = pair end
        end
    end
    return kept
end

local function pass(txn, said)
    for _, name in ipairs(IDENTITY) do
        txn.http:req_set_header(name, first(said, name) or "")
    end
    local cookies = txn.http:req_get_headers()["cookie"]
    if cookies then
        local kept = others(cookies)
        txn.http:req_del_header("cookie")
        if #kept > 0 then txn.http:req_set_header("cookie", table.concat(kept, "; ")) end
    end
end

local function refuse(txn, answer)
    local location = first(answer.headers or {}, "x-auth-request-sign-in")
    local reply = txn:reply()
    if answer.status == 401 and location then
        reply:set_status(302)
        reply:add_header("location", location)
    else
        reply:set_status((answer.status == 401 or answer.status == 403) and answer.status or 503)
        reply:add_header("content-type", first(answer.headers or {}, "content-type") or "text/plain")
        reply:set_body(answer.body or "")
    end
    reply:add_header("cache-control", "no-store")
    txn:done(reply)
end

core.register_action("gateway-verify", { "http-req" }, function(txn)
    local asked, answer = pcall(function()
        return core.httpclient():get{ url = VERIFY, headers = question(txn) }
    end)
    if asked and answer and answer.status == 200 then
        pass(txn, answer.headers)
    else
        refuse(txn, asked and answer or { status = 503 })
    end
end)
