-- /etc/apache2/gateway.lua: asks the gateway whether a request may pass, and tells the application who asks.

local http = require "socket.http"
local ltn12 = require "ltn12"
http.TIMEOUT = 5

local VERIFY = "{{ gateway }}{{ base }}/auth/verify{{ query }}"
local SHOWN = { "Cookie", "Authorization", "Accept", "Sec-Fetch-Mode", "X-Requested-With" }
local IDENTITY = { {% for name in identity %}"{{ name }}"{{ ", " if not loop.last }}{% endfor %} }

local function question(r)
    local headers = {}
    for _, name in ipairs(SHOWN) do headers[name] = r.headers_in[name] end
    headers["X-Forwarded-For"] = r.useragent_ip
    headers["X-Forwarded-Host"] = r.headers_in["Host"]
    headers["X-Forwarded-Proto"] = "{{ scheme }}"
    headers["X-Forwarded-Uri"] = r.unparsed_uri
    headers["X-Forwarded-Method"] = r.method
    return headers
end

-- Who somebody is says the gateway alone. X_Auth_Request_User is the same name to many applications.
local function forget_forgeries(r)
    for name in pairs(r:headers_in_table()) do
        local spelled = name:lower()
        local forwarded = spelled:find("^x[^a-z0-9]forwarded") and spelled:find("[^a-z0-9-]")
        if forwarded or spelled:find("^x[^a-z0-9]auth[^a-z0-9]request") then r.headers_in[name] = nil end
    end
end

-- A header that is listed in Connection would be taken out after the gateway has set it.
local function mend_connection(r)
    local said = r.headers_in["Connection"]
    if not said then return end
    local closing = said:lower():find("close", 1, true)
    r.headers_in["Connection"] = closing and "close" or "keep-alive"
end

-- The application does not get the gateway's cookies.
local function is_ours(name)
    name = name:gsub("^__Host%-", ""):gsub("^__Secure%-", "")
    return name == "gateway" or name == "gateway-refresh" or name == "gateway-browser" or name == "gateway-pending"
        or name:find("^gateway%-attempt%-") ~= nil
end

local function keep_cookies(r)
    local kept = {}
    for pair in (r.headers_in["Cookie"] or ""):gmatch("[^;]+") do
        pair = pair:gsub("^%s+", "")
        if not is_ours(pair:match("^[^=]*")) then kept[#kept + 1] = pair end
    end
    r.headers_in["Cookie"] = #kept > 0 and table.concat(kept, "; ") or nil
end

function verify(r)
    forget_forgeries(r)
    mend_connection(r)
    local asked, status, said = http.request{
        url = VERIFY, headers = question(r), redirect = false, sink = ltn12.sink.null()
    }
    if asked and status == 200 then
        for _, name in ipairs(IDENTITY) do r.headers_in[name] = said[name:lower()] or "" end
        keep_cookies(r)
        return apache2.OK
    end
    local location = asked and status == 401 and said["x-auth-request-sign-in"]
    if location then
        r.headers_out["Location"] = location
        return 302
    end
    return (status == 401 or status == 403) and status or 503
end
